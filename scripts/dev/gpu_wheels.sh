#!/usr/bin/env bash
# Fetches the wheels for a machine that has torch, Lightning and the usual packages, but no network.
#
#   scripts/dev/gpu_wheels.sh [FOLDER]     FOLDER is .wheels, which git ignores
#
# On that machine, from a copy of this checkout with the folder in it:
#
#   python3 -m pip install --no-index --no-deps --find-links .wheels --target /tmp/site .wheels/*.whl
#   PYTHONPATH=/tmp/site python3 benchmarks/gpu.py --minutes 9 --out results
#
# Versions are those of constraints.txt. Each package is fetched by name and without what it needs: torch and what comes
# with it are large, and there already. PYTHON_VERSION (3.12) and PACKAGES, a list of names, can be set.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=${1:-.wheels}
most=$((64 * 1024 * 1024))
python_version=${PYTHON_VERSION:-3.12}
read -r -a packages <<< "${PACKAGES:-hydra-core omegaconf antlr4-python3-runtime zarr numcodecs google-crc32c donfig \
imagecodecs connected-components-3d edt isal pooch platformdirs}"

mkdir -p "$folder"
platforms=()
for tag in manylinux_2_28_x86_64 manylinux_2_27_x86_64 manylinux_2_24_x86_64 manylinux_2_17_x86_64 \
    manylinux2014_x86_64 manylinux1_x86_64; do
    platforms+=(--platform "$tag")
done
for package in "${packages[@]}"; do
    pinned=$(grep -i "^${package}==" constraints.txt || true)
    wanted=${pinned:-$package}
    if [ "$package" = antlr4-python3-runtime ]; then # has no wheel of its own: it is built here, and is pure Python
        python3 -m pip wheel -q --no-deps -w "$folder" "$wanted"
    else
        python3 -m pip download -q --no-deps --only-binary=:all: --python-version "$python_version" \
            --implementation cp "${platforms[@]}" -d "$folder" "$wanted"
    fi
    [ -n "$pinned" ] || echo "note: constraints.txt has no version of $package; the newest was taken" >&2
done

size=$(cat "$folder"/*.whl | wc -c)
echo "$(find "$folder" -name '*.whl' | wc -l) wheels, $((size / 1024 / 1024)) MiB, in $folder"
if [ "$size" -ge "$most" ]; then
    echo "error: the wheels are larger than 64 MiB together; leave some out with PACKAGES" >&2
    exit 1
fi
