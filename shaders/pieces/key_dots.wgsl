// key_dots: products of up to 16 query heads, in quads, with a tile of 64 keys, for kernels that read few keys per query.
//
// GROUP_SIZE = 64 * QUADS lanes; lane = 64 * quad + key. The kernel binds `q` as array<vec4<u32>>, brings `keys`, `Cached`
// and `unpack_cached` as the `cache` piece has them, and names HEAD_DIM and QUADS. All of a lane's loads are issued before the first is used, so a tile costs one trip to memory;
// shared memory holds 32 dimensions of the tile at a time (5 KiB).

const TILE_KEYS: u32 = 64u;
const TILE_HEADS: u32 = 4u * QUADS;
const ROW: u32 = HEAD_DIM / 8u;          // vectors of a head
const CHUNK: u32 = 4u;                   // vectors of a row staged at a time
const CHUNKS: u32 = ROW / CHUNK;
const PITCH: u32 = CHUNK + 1u;           // odd, so that the lanes' vectors lie in different banks
const LOADS: u32 = (TILE_KEYS * CHUNK + GROUP_SIZE - 1u) / GROUP_SIZE;

var<workgroup> staged_q: array<vec4<u32>, TILE_HEADS * ROW>;
var<workgroup> staged_keys: array<Cached, TILE_KEYS * PITCH>;
// The row of `keys` that each key of the tile is; the kernel writes it before key_dots.
var<workgroup> key_rows: array<u32, TILE_KEYS>;

// Copies the heads from vector `first` of `q` on; heads past `count` become zero.
fn stage_q(first: u32, count: u32, lane: u32) {
    for (var i = lane; i < TILE_HEADS * ROW; i += GROUP_SIZE) {
        if i < count * ROW {
            staged_q[i] = q[first + i];
        } else {
            staged_q[i] = vec4(0u);
        }
    }
}

fn head_dot(head: u32, part: u32, key: Eight) -> f32 {
    return dot_eight(unpack_eight(staged_q[head * ROW + part]), key);
}

// The four heads of this lane's quad times its key, without the key's scale. Starts with a barrier, which also covers stage_q and key_rows, and
// ends without one: nothing but the next call writes what it reads.
fn key_dots(lane: u32) -> vec4<f32> {
    workgroupBarrier();
    var ahead: array<Cached, CHUNKS * LOADS>;
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
        for (var load = 0u; load < LOADS; load++) {
            let item = lane + load * GROUP_SIZE;
            if item < TILE_KEYS * CHUNK {
                ahead[chunk * LOADS + load] = keys[key_rows[item / CHUNK] * ROW + chunk * CHUNK + item % CHUNK];
            }
        }
    }
    let key = lane % TILE_KEYS;
    let head = lane / TILE_KEYS * 4u;
    var sums = vec4(0.0);
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
        workgroupBarrier();
        for (var load = 0u; load < LOADS; load++) {
            let item = lane + load * GROUP_SIZE;
            if item < TILE_KEYS * CHUNK {
                staged_keys[item / CHUNK * PITCH + item % CHUNK] = ahead[chunk * LOADS + load];
            }
        }
        workgroupBarrier();
        for (var i = 0u; i < CHUNK; i++) {
            let eight = unpack_cached(staged_keys[key * PITCH + i]);
            let part = chunk * CHUNK + i;
            sums += vec4(
                head_dot(head, part, eight),
                head_dot(head + 1u, part, eight),
                head_dot(head + 2u, part, eight),
                head_dot(head + 3u, part, eight),
            );
        }
    }
    return sums;
}
