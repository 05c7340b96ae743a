//! Rows of the embedding table for a list of tokens. Shader: `shaders/embed.wgsl`.

use super::matrix::{self, Matrix};
use crate::error::Result;
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};
use crate::weights::Format;

const GROUP_SIZE: u32 = 64;

/// Looks tokens up in a table of one width and format.
pub struct Embed {
    kernel: Kernel,
    width: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    first_row: u32,
    shard_rows: u32,
    scale: f32,
}

impl Embed {
    /// Compiles for a table with rows of `width`.
    pub fn new(gpu: &Gpu, width: usize, format: Format) -> Result<Self> {
        let (piece, mut constants) = matrix::piece(format, width);
        constants.push(("GROUP_SIZE", U32(GROUP_SIZE)));
        let pieces = [("weights", piece)];
        let spec = KernelSpec { name: "embed", entry: "main", constants: &constants, pieces: &pieces };
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, width })
    }

    /// Appends one dispatch per shard: `out[t] = table[ids[t]] * scale`, with `ids` (tokens) and `out` (tokens, width).
    pub fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (ids, table, out): (&Tensor, &Matrix, &Tensor),
        tokens: usize,
        scale: f32,
    ) -> Result<()> {
        out.expect_rows("embed out", tokens, self.width, Element::F32)?;
        for shard in &table.shards {
            let params = Params { first_row: shard.first_row as u32, shard_rows: shard.rows as u32, scale };
            let mut tensors = vec![ids.into()];
            tensors.extend(shard.bindings());
            tensors.push(out.into());
            let work = (tokens * self.width) as u64;
            recorder.dispatch(gpu, &self.kernel, &tensors, &params, [tokens as u32, 1, 1], work)?;
        }
        Ok(())
    }
}
