#!/usr/bin/env bash
# Repaints a video file into an MP4 file without sound. `faststyle film` keeps the
# sound and much else; examples/file.rs shows how to keep it.
#
#   examples/file.sh INPUT OUTPUT.mp4 [MODEL]
#
# MODEL is a model file, or the name of a model in models/ or of an installed one
# (default: scream).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/examples/common/quoted.sh"

if (($# < 2 || $# > 3)); then
    echo "usage: $0 INPUT OUTPUT.mp4 [MODEL]" >&2
    exit 2
fi
input=$1
output=$2
[[ -f $input ]] || { echo "File not found: $input" >&2; exit 1; }
[[ ! -e $output ]] || { echo "$output is already there: remove it, or choose another name" >&2; exit 1; }
# Written beside its name, which it gets when it is whole.
part=$output.part
trap 'rm -f "$part"' EXIT

export GST_PLUGIN_PATH=${CARGO_TARGET_DIR:-$root/target}/release${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}
export GST_FASTSTYLE_MODEL_PATH=$root/models${GST_FASTSTYLE_MODEL_PATH:+:$GST_FASTSTYLE_MODEL_PATH}
gst-launch-1.0 -e filesrc location="$(quoted "$input")" ! decodebin ! videoconvert \
    ! faststyle model="$(quoted "${3:-scream}")" \
    ! progressreport update-freq=2 \
    ! x264enc pass=quant quantizer=22 ! video/x-h264,profile=high \
    ! mp4mux ! filesink location="$(quoted "$part")"
mv -n "$part" "$output"
