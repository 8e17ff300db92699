#!/usr/bin/env bash
# Repaints a video file (its pictures; sound is left out) into an MP4 file.
#
#   examples/file.sh INPUT OUTPUT.mp4 [MODEL]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

if (($# < 2 || $# > 3)); then
    echo "usage: $0 INPUT OUTPUT.mp4 [MODEL]" >&2
    exit 2
fi
input=$1
output=$2
model=${3:-$root/models/scream.safetensors}
for file in "$input" "$model"; do
    [[ -f $file ]] || { echo "There is no file $file" >&2; exit 1; }
done
if [[ $input -ef $output ]]; then
    echo "$output would overwrite the input" >&2
    exit 1
fi

export GST_PLUGIN_PATH=${CARGO_TARGET_DIR:-$root/target}/release${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}
exec gst-launch-1.0 -e filesrc location="$input" ! decodebin ! videoconvert \
    ! faststyle model="$model" \
    ! progressreport update-freq=2 \
    ! x264enc pass=quant quantizer=22 ! video/x-h264,profile=high \
    ! mp4mux ! filesink location="$output"
