#!/usr/bin/env bash
# Runs the tests that want a newer Mesa than stable distributions have: its software driver has cooperative matrices (8 x 8 x 8),
# and Dawn accepts it. Debian's packages of it are unpacked in a folder of their own, C library included, and nothing is
# installed. Needs apt and Debian's archive key; says so and ends well where they are not, unless FOVEAL_MESA=required.
#
#     tests/mesa/run.sh                 the operations that have cooperative matrices, on the device with everything; Dawn
#     tests/mesa/run.sh --dawn          Dawn alone
#     tests/mesa/run.sh --all           every operation in every variant, whole models and faults too, which takes long: this
#                                       driver's compiler is slow, and what uses no cooperative matrices is the same elsewhere
#     tests/mesa/run.sh PROGRAM ...     a program on that driver, for example target/release/foveal selfcheck
#
# How long the first takes has not been measured on an idle machine. Fetching takes a minute or two; the compiler is what takes the
# rest, some ten seconds of a processor for one kernel of cooperative attention.
#
# FOVEAL_MESA_FOLDER: where to unpack, if not target/mesa.
set -euo pipefail
cd "$(dirname "$0")/../.."

suite=trixie
key=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "${FOVEAL_MESA_FOLDER:-target/mesa}"
mesa=$(cd "${FOVEAL_MESA_FOLDER:-target/mesa}" && pwd)
libraries=$mesa/root/usr/lib/$(uname -m)-linux-gnu
loader=$(basename "$(readelf -l /bin/sh | sed -n 's/.*interpreter: \(.*\)\]/\1/p')")

fetch() {
    mkdir -p "$mesa"/apt/{lists/partial,cache/archives/partial,state} "$mesa/root"
    : >"$mesa/apt/status"
    cat >"$mesa/apt/sources.sources" <<END
Types: deb
URIs: http://deb.debian.org/debian
Suites: $suite $suite-backports
Components: main
Signed-By: $key
END
    # With no package installed, apt's answer is complete.
    cat >"$mesa/apt/conf" <<END
Dir::State "$mesa/apt/state";
Dir::State::lists "$mesa/apt/lists";
Dir::State::status "$mesa/apt/status";
Dir::Cache "$mesa/apt/cache";
Dir::Etc::sourcelist "$mesa/apt/sources.sources";
Dir::Etc::sourceparts "/nonexistent";
APT::Install-Recommends "false";
END
    export APT_CONFIG=$mesa/apt/conf
    apt-get update -qq && apt-get install -qq -y -d -t "$suite-backports" mesa-vulkan-drivers libvulkan1 >/dev/null || return
    for package in "$mesa"/apt/cache/archives/*.deb; do
        dpkg -x "$package" "$mesa/root"
    done
    local driver=$libraries/libvulkan_lvp.so
    printf '{"ICD": {"api_version": "1.4.0", "library_path": "%s"}, "file_format_version": "1.0.1"}\n' "$driver" >"$mesa/driver.json"
}

if [ ! -f "$mesa/driver.json" ] && { [ ! -f "$key" ] || ! (fetch); }; then
    echo "skipped: a newer Mesa cannot be fetched here"
    if [ "${FOVEAL_MESA:-}" = required ] || [[ "${1:---}" != --* ]]; then exit 1; fi
    # Compiling is something.
    exec tests/dawn/run.sh
fi

# The tests of the kernels in shaders/coop, and of what they read.
parts=(matmul::matches attend_dense::prefill attend_sparse::prefill attend_sparse::real score_blocks::prefill score_blocks::real
    tile_cache::matches)
variants=1
case "${1:-}" in
--dawn) parts=() && shift ;;
--all) parts=(ops:: cache_format forward faults) && variants=99 && shift ;;
esac
newer=(env "VK_DRIVER_FILES=$mesa/driver.json" "$libraries/$loader" --library-path "$libraries")
if [ $# -gt 0 ]; then
    exec "${newer[@]}" "$@"
fi
if [ ${#parts[@]} -gt 0 ]; then
    echo "== the operations, cooperative matrices too"
    built=$(cargo test --locked --no-run --test integration --message-format=json)
    tests=$(sed -n 's/.*"executable":"\([^"]*integration[^"]*\)".*/\1/p' <<<"$built")
    # What such drivers are given otherwise uses no matrices.
    FOVEAL_TEST_WITHOUT=processor FOVEAL_TEST_VARIANTS=$variants "${newer[@]}" "$tests" "${parts[@]}"
fi
echo "== Dawn"
DAWN_NODE="${newer[*]} $(command -v node)" FOVEAL_DAWN=required tests/dawn/run.sh
