#!/usr/bin/env bash
# Compiles the kernels, as naga writes them for DX12, with Microsoft's own compiler: DXC reads HLSL as a Windows driver's
# front end would, on any machine. Needs Python with pip, which fetches a package that brings the compiler along; says so and
# ends well where that cannot be had, unless FOVEAL_DXC=required. DXC: a libdxcompiler.so that is there already.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/hlsl"
library=${DXC:-}
if [ -z "$library" ]; then
    # The source package has the libraries of all systems; nothing of it is built.
    if ! python3 -m pip download -q --no-deps --no-binary :all: -d "$work" compushady==0.17.5 >/dev/null 2>&1; then
        echo "skipped: DXC cannot be fetched here"
        if [ "${FOVEAL_DXC:-}" = required ]; then exit 1; else exit 0; fi
    fi
    tar -xzf "$work"/compushady-*.tar.gz -C "$work" --wildcards "*/libdxcompiler_$(uname -m).so*"
    library=$(find "$work" -name 'libdxcompiler_*.so*')
fi
FOVEAL_HLSL_FOLDER="$work/hlsl" cargo test --locked -q --test integration -- every_kernel_in_every_variant >/dev/null 2>&1
python3 tests/dxc/compile.py "$library" "$work/hlsl"
