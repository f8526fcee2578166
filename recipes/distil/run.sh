#!/usr/bin/env bash
# Does a student learn more from a teacher than from the labels alone? For MACCROBAT2020 and BC5CDR: a teacher, then three
# students of four layers under three seeds each, and a table of their F1 on the development splits.
# usage: recipes/distil/run.sh [DATA] [DEVICE] [BASE]
#   DATA    holds the sets of the recipes (default ../shared/data)
#   DEVICE  cpu, cuda or cuda:N (default cpu)
#   BASE    an encoder of six layers in place of the recipes' (its runs then lie below runs/distil-NAME)
# The program is built unless CLINLITE names it. Stop it at any time: the same command goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:-../shared/data}
device=${2:-cpu}
base=${3:-}
here=recipes/distil
out=runs/distil${base:+-$(basename "$base")}
seeds=1,2,3

if [ -z "${CLINLITE:-}" ]; then
    case $device in cuda*) features=(--features cuda) ;; *) features=() ;; esac
    RUSTFLAGS="-C target-cpu=native" cargo build --locked --release ${features[@]+"${features[@]}"}
    CLINLITE=target/release/clinlite
fi

# The last line on standard output is the mean; what is finished is only read.
train() { # SET ARM SEEDS [OPTION...]
    local set=$1 arm=$2 seeds=$3
    shift 3
    "$CLINLITE" finetune "$here/$set/$arm.toml" --data "$data" --device "$device" ${base:+--base "$base"} \
        --out "$out/$set/$arm" --seeds "$seeds" "$@"
}

for set in maccrobat2020 bc5cdr; do
    train $set teacher 1
    for arm in student student-long; do
        train $set $arm $seeds
    done
    train $set distilled $seeds --teacher "$out/$set/teacher/seed-1/model"
done

printf '\n%-14s %-14s %s\n' set arm 'dev F1'
for set in maccrobat2020 bc5cdr; do
    printf '%-14s %-14s %s\n' $set teacher "$(train $set teacher 1 | tail -n 1)"
    for arm in student student-long; do
        printf '%-14s %-14s %s\n' $set $arm "$(train $set $arm $seeds | tail -n 1)"
    done
    printf '%-14s %-14s %s\n' $set distilled "$(train $set distilled $seeds --teacher "$out/$set/teacher/seed-1/model" | tail -n 1)"
done
