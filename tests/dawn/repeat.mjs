// Repeats the dispatches that `foveal selfcheck` captured (see src/gpu/capture.rs) on Dawn, and compares what they write
// with what they wrote there, which the twins have confirmed. Then compiles every kernel in every variant with Tint.
//
//     node repeat.mjs CAPTURED_FOLDER SHADER_FOLDER
//
// Without an adapter that Dawn accepts its null backend compiles, and nothing is compared; FOVEAL_DAWN=required makes that a
// failure.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
const [captured, shaders] = process.argv.slice(2);

async function open(flags) {
    const gpu = create(flags);
    const adapter = await gpu.requestAdapter();
    return adapter && { gpu, adapter };
}

let opened = await open([]);
const runs = opened !== null;
opened ??= await open(['backend=null']);
const { gpu, adapter } = opened;
const wanted = ['shader-f16', 'subgroups'].filter((feature) => adapter.features.has(feature));
const names = ['maxComputeWorkgroupStorageSize', 'maxStorageBufferBindingSize', 'maxBufferSize'];
const requiredLimits = Object.fromEntries(names.map((name) => [name, adapter.limits[name]]));
const device = await adapter.requestDevice({ requiredFeatures: wanted, requiredLimits });
console.log(`Dawn on ${adapter.info.description || 'its null backend'}: ${wanted.join(', ')}`);

const half = (bits) => {
    const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
};
const values = {
    F32: (bytes) => new Float32Array(bytes),
    U32: (bytes) => new Uint32Array(bytes),
    F16: (bytes) => Array.from(new Uint16Array(bytes), half),
};
const tolerance = { F32: [1e-4, 1e-3], F16: [1e-3, 2e-3], U32: [0, 0] };

// The largest difference as a share of what is allowed.
function compare(element, got, expected) {
    const [a, b] = [values[element](got), values[element](expected)];
    const [absolute, relative] = tolerance[element];
    let worst = 0;
    for (let i = 0; i < b.length; i++) {
        if (a[i] === b[i] || (Number.isNaN(a[i]) && Number.isNaN(b[i]))) continue;
        const share = Math.abs(a[i] - b[i]) / (absolute + relative * Math.abs(b[i]));
        worst = Math.max(worst, Number.isNaN(share) ? Infinity : share);
    }
    return worst;
}

const bytesOf = (name) => {
    const file = readFileSync(join(captured, name));
    return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
};

// The module, or what Tint says against it.
async function compile(text) {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code: text });
    const info = await module.getCompilationInfo();
    const error = await device.popErrorScope();
    const errors = info.messages.filter((message) => message.type === 'error');
    const words = errors.map((message) => `${message.lineNum}: ${message.message}`);
    return { module, problem: words.join('\n') || error?.message };
}

async function repeat(dispatch) {
    const { module, problem } = await compile(dispatch.text);
    if (problem) return problem;
    device.pushErrorScope('validation');
    const entries = dispatch.bindings.map((binding) => ({
        binding: binding.index,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: binding.uniform ? 'uniform' : binding.writes ? 'storage' : 'read-only-storage' },
    }));
    const layout = device.createBindGroupLayout({ entries });
    const pipeline = device.createComputePipeline({
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: dispatch.entry },
    });
    const buffers = dispatch.bindings.map((binding) => {
        const content = binding.uniform ? new Uint32Array(16) : new Uint8Array(bytesOf(binding.before));
        if (binding.uniform) content.set(dispatch.parameters);
        const usage = binding.uniform ? GPUBufferUsage.UNIFORM : GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
        const buffer = device.createBuffer({ size: content.byteLength, usage: usage | GPUBufferUsage.COPY_DST });
        device.queue.writeBuffer(buffer, 0, content);
        return buffer;
    });
    const resources = dispatch.bindings.map(({ index }, i) => ({ binding: index, resource: { buffer: buffers[i] } }));
    const group = device.createBindGroup({ layout, entries: resources });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...dispatch.grid);
    pass.end();
    const written = dispatch.bindings.map((binding, i) => ({ binding, buffer: buffers[i] })).filter((w) => w.binding.after);
    const reads = written.map(({ binding, buffer }) => {
        const size = buffer.size;
        const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
        encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
        return { binding, staging };
    });
    device.queue.submit([encoder.finish()]);
    const error = await device.popErrorScope();
    // The null backend has only the workgroup memory that every device has, and kernels take what their adapter had.
    if (error && !runs && error.message.includes('workgroup storage')) {
        roomier += 1;
        return 0;
    }
    if (error) return error.message;
    let worst = 0;
    for (const { binding, staging } of reads) {
        if (!runs) break;
        await staging.mapAsync(GPUMapMode.READ);
        const share = compare(binding.element, staging.getMappedRange().slice(0), bytesOf(binding.after));
        worst = Math.max(worst, share);
    }
    [...buffers, ...reads.map((read) => read.staging)].forEach((buffer) => buffer.destroy());
    return worst <= 1 ? worst : `binding differs by ${worst} times the tolerance`;
}

// Cooperative matrices are no part of WGSL; Tint has no name for them.
// A workgroup of the kernels for processors is one subgroup of the device that they were captured on.
const subgroup = adapter.info?.subgroupMinSize;
const fits = (text) => !text.includes("subgroupShuffle(") || !runs || text.includes(`const LANES: u32 = ${subgroup}u;`);
const ours = (text) => !text.includes("wgpu_cooperative_matrix") && (wanted.includes("subgroups") || !text.includes("enable subgroups"));
let failed = 0;
let roomier = 0;
const say = (what, problem) => {
    failed += 1;
    console.log(`WRONG ${what}: ${problem}`);
};
const worst = new Map();
let dispatches = 0;
for (const file of readdirSync(captured).filter((name) => name.endsWith('.json')).sort()) {
    const dispatch = JSON.parse(readFileSync(join(captured, file)));
    if (!ours(dispatch.text) || !fits(dispatch.text)) continue;
    const result = await repeat(dispatch);
    dispatches += 1;
    if (typeof result === 'string') say(`${dispatch.label} (${file})`, result);
    else worst.set(dispatch.label, Math.max(result, worst.get(dispatch.label) ?? 0));
}
for (const [label, share] of [...worst].sort()) {
    console.log(`  ${label.padEnd(32)} ${runs ? `${(share * 100).toFixed(1)} % of the tolerance` : 'compiles'}`);
}
let texts = 0;
for (const file of shaders ? readdirSync(shaders) : []) {
    const text = readFileSync(join(shaders, file), 'utf8');
    if (!ours(text)) continue;
    const { problem } = await compile(text);
    texts += 1;
    if (problem) say(file, problem);
}
if (roomier) console.log(`${roomier} dispatches want more workgroup memory than the null backend has: compiled, no pipeline made`);
console.log(`${dispatches} dispatches ${runs ? 'repeated' : 'compiled'}, ${texts} variants compiled by Tint, ${failed} wrong`);
device.destroy();
const missing = process.env.FOVEAL_DAWN === 'required' && (!runs || worst.size === 0);
if (missing) console.log('nothing was compared: Dawn accepts no adapter here');
process.exit(failed || missing || dispatches === 0 ? 1 : 0);
