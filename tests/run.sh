#!/usr/bin/env bash
# Runs every test. Where the machine has no Vulkan driver and apt is there, a software one (Mesa's lavapipe) is installed
# first, because most tests compare a device with the processor. Arguments go to `cargo test`, for example a part of a
# test's name.
#
# Plain `cargo test` does the same on a machine that has a driver.
set -euo pipefail
cd "$(dirname "$0")/.."

has_driver() {
    [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && return 0
    compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null
}

if [ "$(uname)" = Linux ] && ! has_driver; then
    if command -v apt-get >/dev/null; then
        as_root=()
        [ "$(id -u)" = 0 ] || as_root=(sudo)
        echo "tests/run.sh: no Vulkan driver here; installing Mesa's software one with apt-get"
        "${as_root[@]}" apt-get update -q
        "${as_root[@]}" apt-get install -y -q --no-install-recommends libvulkan1 mesa-vulkan-drivers
    else
        echo "tests/run.sh: no Vulkan driver here and no apt-get; tests that need one will say 'skipped: no adapter'"
    fi
fi

exec cargo test --locked "$@"
