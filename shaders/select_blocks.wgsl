// select_blocks: the blocks that a query reads, ascending: the first ones, the local ones, and of those between the ones
// with the highest scores, the lower block first where scores are equal. From position `marks_from` on the user's marks
// rule over the scores: of the blocks between, pinned ones come first and excluded ones last. Where BF16, scores are ranked as
// the official kernels rank them, in bf16: in f32 51 of the 480 lists of the golden files are others, so none.
//
// One workgroup per query token and KV head, of which every lane owns a run of neighbouring blocks. Scores are at least 0, so
// their bits order as they do. The value of the last block that gets in is found digit by digit with a histogram in shared
// memory: first in 64 steps an octave from 2^-27 to 2^5, where scores are, so that hardly two lanes count in one place (their highest
// bits are nearly all the same); then, mostly for long texts only, in finer steps within one of these. It ends as soon as
// all the values of a step get in. Then every lane counts its blocks above and equal, one scan tells where
// they go, and the list comes out in order without a sort. The result does not depend on timing: histograms only count.
// The first HELD values of a run stay in registers, 8 * GROUP_SIZE are those of 128K tokens; the rest is read three to six
// times, which costs a trip to the cache each time.
//
// Host: src/ops/select_blocks.rs. Twin: src/reference/select_blocks.rs.
//
//#import scan                                                  sum_before
//#import numbers                                               nearest_bf16
//#const  GROUP_SIZE KV_HEADS BLOCK BUDGET INIT_BLOCKS LOCAL_BLOCKS FREE_BLOCKS BF16    at most 32768 blocks

const NO_BLOCK: u32 = 0xFFFFFFFFu;
const BINS: u32 = 2048u;
const BINS_PER_LANE: u32 = BINS / GROUP_SIZE;

struct Params {
    start: u32,        // position of token 0
    row_stride: u32,   // scores between two tokens
    head_stride: u32,  // scores between two KV heads
    marks_from: u32,   // first position that obeys the marks
}

@group(0) @binding(0) var<storage, read> scores: array<f32>;       // (kv_heads, tokens, blocks)
@group(0) @binding(1) var<storage, read_write> ids: array<u32>;    // (tokens, kv_heads, BUDGET)
@group(0) @binding(2) var<storage, read> marks: array<u32>;        // (at least blocks): 0, PINNED or EXCLUDED
@group(0) @binding(3) var<uniform> params: Params;

const PINNED: u32 = 1u;
const EXCLUDED: u32 = 2u;

var<workgroup> histogram: array<atomic<u32>, BINS>;
// Digit, rank among the values with that digit, and how many these are.
var<workgroup> found: vec3<u32>;
var<private> marked: bool;

const HELD: u32 = 8u;
//#repeat i 8
var<private> held_@i: u32;
//#end

// What blocks are ranked by: the score's bits, above all of them if pinned, below all if excluded.
fn value_of(row: u32, block: u32) -> u32 {
    let bits = bitcast<u32>(scores[row + block]);
    let value = select(bits, nearest_bf16(bits), BF16) + (1u << LAST_SHIFT);
    if !marked {
        return value;
    }
    let mark = marks[block];
    return select(select(value, 0u, mark == EXCLUDED), value | 0x80000000u, mark == PINNED);
}

// Blocks [first, end) of a row of scores.
struct Run {
    row: u32,
    first: u32,
    end: u32,
}

// The `rank`-th largest value (from 1) of those in `bins` steps of 2^shift from `base` on; values above `most` count as that.
struct Search {
    base: u32,
    shift: u32,
    bins: u32,
    rank: u32,
    most: u32,
}

// Values within one step of this shift are equal.
const LAST_SHIFT: u32 = select(0u, 16u, BF16);
const FIRST_BASE: u32 = 100u << 23u;
const FIRST_SHIFT: u32 = 17u;
const FIRST: Search = Search(FIRST_BASE, FIRST_SHIFT, BINS, FREE_BLOCKS, FIRST_BASE + (BINS << FIRST_SHIFT) - 1u);
const EVERYTHING: Search = Search(0u, 21u, BINS, FREE_BLOCKS, 0xFFFFFFFFu);

// Lane 0 owns the highest digits, so that a scan over lanes runs from the largest value down; a lane's are GROUP_SIZE apart.
fn place_of(digit: u32) -> u32 {
    let down = BINS - 1u - digit;
    return down % BINS_PER_LANE * GROUP_SIZE + down / BINS_PER_LANE;
}

fn count_digit(value: u32, search: Search) {
    // Wraps for values below the base, which are past the last bin then.
    let digit = (min(value, search.most) - search.base) >> search.shift;
    if digit < search.bins {
        atomicAdd(&histogram[place_of(digit)], 1u);
    }
}

// What `found` says; digit BINS if so many values are not there.
fn find_digit(run: Run, search: Search, lane: u32) -> vec3<u32> {
    for (var i = 0u; i < BINS_PER_LANE; i++) {
        atomicStore(&histogram[i * GROUP_SIZE + lane], 0u);
    }
    if lane == 0u {
        found = vec3(BINS, 0u, 0u);
    }
    workgroupBarrier();
    //#repeat i 8
    if run.first + @iu < run.end {
        count_digit(held_@i, search);
    }
    //#end
    for (var block = run.first + HELD; block < run.end; block++) {
        count_digit(value_of(run.row, block), search);
    }
    workgroupBarrier();
    var own = 0u;
    for (var i = 0u; i < BINS_PER_LANE; i++) {
        own += atomicLoad(&histogram[i * GROUP_SIZE + lane]);
    }
    var above = sum_before(own, lane);
    if above < search.rank && search.rank <= above + own {
        for (var i = 0u; i < BINS_PER_LANE; i++) {
            let count = atomicLoad(&histogram[i * GROUP_SIZE + lane]);
            if above < search.rank && search.rank <= above + count {
                found = vec3(BINS - 1u - (lane * BINS_PER_LANE + i), search.rank - above, count);
            }
            above += count;
        }
    }
    return workgroupUniformLoad(&found);
}

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = group.x;
    let kv_head = group.y;
    let last = (params.start + token) / BLOCK;
    let target_row = (token * KV_HEADS + kv_head) * BUDGET;

    if last < BUDGET {
        // Everything fits: all blocks, in order.
        for (var i = lane; i < BUDGET; i += GROUP_SIZE) {
            ids[target_row + i] = select(NO_BLOCK, i, i <= last);
        }
        return;
    }

    let free_end = last + 1u - LOCAL_BLOCKS;
    for (var i = lane; i < INIT_BLOCKS; i += GROUP_SIZE) {
        ids[target_row + i] = i;
    }
    for (var i = lane; i < LOCAL_BLOCKS; i += GROUP_SIZE) {
        ids[target_row + BUDGET - LOCAL_BLOCKS + i] = free_end + i;
    }
    if FREE_BLOCKS == 0u {
        return;
    }

    marked = params.start + token >= params.marks_from;
    let length = (free_end - INIT_BLOCKS + GROUP_SIZE - 1u) / GROUP_SIZE;
    let first = min(INIT_BLOCKS + lane * length, free_end);
    let run = Run(kv_head * params.head_stride + token * params.row_stride, first, min(first + length, free_end));
    //#repeat i 8
    held_@i = value_of(run.row, min(first + @iu, free_end - 1u));
    //#end
    var search = FIRST;
    var at = find_digit(run, search, lane);
    // What lies above the first steps counts in their last one, what lies below is not there.
    if at.x >= BINS - 1u {
        search = EVERYTHING;
        at = find_digit(run, search, lane);
    }
    while at.y < at.z && search.shift > LAST_SHIFT {
        let finer = max(search.shift, LAST_SHIFT + 11u) - 11u;
        let base = search.base + (at.x << search.shift);
        search = Search(base, finer, 1u << (search.shift - finer), at.y, 0xFFFFFFFFu);
        at = find_digit(run, search, lane);
    }
    // A step gets in as a whole, and with it all that is above its lower end; or its values are equal, and some of them get in.
    let threshold = search.base + (at.x << search.shift);
    let equal_taken = at.y;

    // Two counts travel in one word.
    var counts = 0u;
    //#repeat i 8
    counts += select(0u, counted(held_@i, threshold), run.first + @iu < run.end);
    //#end
    for (var block = run.first + HELD; block < run.end; block++) {
        counts += counted(value_of(run.row, block), threshold);
    }
    let before = sum_before(counts, lane);
    let list = List(target_row + INIT_BLOCKS, threshold, equal_taken);
    var so_far = vec2(before >> 16u, before & 0xFFFFu);
    //#repeat i 8
    if run.first + @iu < run.end {
        so_far = take(list, run.first + @iu, held_@i, so_far);
    }
    //#end
    for (var block = run.first + HELD; block < run.end; block++) {
        so_far = take(list, block, value_of(run.row, block), so_far);
    }
}

// Above the threshold in the high half, equal to it in the low one.
fn counted(value: u32, threshold: u32) -> u32 {
    return select(0u, 0x10000u, value > threshold) + select(0u, 1u, value == threshold);
}

// Where the chosen blocks go, and which are chosen.
struct List {
    first: u32,
    threshold: u32,
    equal_taken: u32,
}

// Puts the block on the list if it is chosen. `so_far` are the blocks before it that are above the threshold, and equal.
fn take(list: List, block: u32, value: u32, so_far: vec2<u32>) -> vec2<u32> {
    if value > list.threshold || (value == list.threshold && so_far.y < list.equal_taken) {
        ids[list.first + so_far.x + min(so_far.y, list.equal_taken)] = block;
    }
    return so_far + vec2(select(0u, 1u, value > list.threshold), select(0u, 1u, value == list.threshold));
}
