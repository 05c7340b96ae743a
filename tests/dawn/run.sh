#!/usr/bin/env bash
# Runs the kernels on Dawn, the WebGPU of Chromium: another WGSL compiler (Tint) and another implementation. Every dispatch of
# `foveal selfcheck` is repeated there with the same inputs, and every variant of every kernel compiled. Needs Node 20 and
# npm, which fetches Dawn (package webgpu); says so and ends well where that cannot be had. Dawn wants Mesa 23 or newer of a
# software driver; with an older one its null backend compiles and nothing is compared. tests/mesa/run.sh has a newer one.
#
# FOVEAL_DAWN=required: nothing compared is a failure.
# DAWN_NODE: the command that runs node, if not `node`.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/captured" "$work/shaders"
cp tests/dawn/repeat.mjs "$work"
if ! command -v npm >/dev/null || ! (cd "$work" && npm install --silent --no-save webgpu@0.6.2 >/dev/null 2>&1); then
    echo "skipped: Dawn for Node cannot be installed here"
    if [ "${FOVEAL_DAWN:-}" = required ]; then exit 1; else exit 0; fi
fi
FOVEAL_CAPTURE="$work/captured" cargo run --locked -q -- selfcheck >"$work/selfcheck.txt" || {
    cat "$work/selfcheck.txt"
    exit 1
}
FOVEAL_SHADER_FOLDER="$work/shaders" cargo test --locked -q --test integration -- \
    every_kernel_in_every_variant >/dev/null 2>&1
read -r -a node <<<"${DAWN_NODE:-node}"
"${node[@]}" "$work/repeat.mjs" "$work/captured" "$work/shaders"
