//! How much memory a piece of work takes on its thread: an allocator that counts, for all tests.

#![allow(unsafe_code, reason = "an allocator is unsafe by its nature; this one only counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes alive that this thread asked for, less those that it gave back. Without destructors, so that it can be used
    /// as long as the thread lives.
    static ALIVE: Cell<isize> = const { Cell::new(0) };
    /// The most that these came to since the last measurement began.
    static MOST: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(bytes: isize) {
    ALIVE.with(|alive| {
        alive.set(alive.get() + bytes);
        MOST.with(|most| most.set(most.get().max(alive.get())));
    });
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What `work` gives, and the most bytes that it held at a time on this thread beside those that were there before.
pub(crate) fn most_bytes<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALIVE.with(Cell::get);
    MOST.with(|most| most.set(before));
    let done = work();
    let most = MOST.with(Cell::get) - before;
    (done, usize::try_from(most).unwrap_or(0))
}

#[test]
fn it_counts_what_is_alive_at_a_time() {
    let (_, bytes) = most_bytes(|| {
        drop(vec![1u8; 5000]);
        let mut grown = vec![2u8; 1000];
        grown.reserve_exact(3000);
        drop(vec![0u8; 2000]);
        grown
    });
    assert!((6000..6100).contains(&bytes), "{bytes}");
}
