use foveal::reference;
use foveal::selfcheck::matmul;

use super::{formats, random_matrix};
use crate::harness::{Random, check_on_each_gpu, close};

#[test]
fn matches_twin() {
    // One token, odd, exact tile, larger than a tile, several shards.
    for (tokens, rows, cols, shard_rows) in [
        (1, 3, 32, 100),
        (5, 7, 96, 3),
        (64, 64, 128, 1000),
        (67, 131, 544, 70),
        (3, 40, 4096, 1000),
        (150, 256, 160, 128),
    ] {
        for format in formats(cols) {
            for integers in [false, true] {
                check_on_each_gpu(|gpu| matmul::check(gpu, tokens, (rows, cols, shard_rows), format, integers));
            }
        }
    }
}

#[test]
fn twin_is_matvec_for_each_token() {
    let mut random = Random::new(5);
    let matrix = random_matrix(&mut random, 6, 32, formats(32)[1]);
    let x = random.halves(3 * 32, 1.0);
    let expected: Vec<f32> = x.chunks(32).flat_map(|row| reference::matvec(row, &matrix)).collect();
    // They sum in different orders.
    close("rows", &reference::matmul(&x, &matrix), &expected, 1e-6, 1e-6);
}
