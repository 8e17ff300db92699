#!/usr/bin/env bash
# Repaints what a camera sees, in a window.
#
#   examples/webcam.sh [--test] [MODEL]
#
# --test takes moving test bars instead of a camera. Set DEVICE for another
# camera than /dev/video0, SIZE for another size than 320x240.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

size=${SIZE:-320x240}
source=(v4l2src device="${DEVICE:-/dev/video0}" '!' decodebin '!' videoconvert '!' videoscale)
if [[ ${1:-} == --test ]]; then
    shift
    source=(videotestsrc is-live=true pattern=ball '!' videoconvert)
elif [[ ! -e ${DEVICE:-/dev/video0} ]]; then
    echo "There is no camera ${DEVICE:-/dev/video0}: set DEVICE, or try $0 --test" >&2
    exit 1
fi
model=${1:-$root/models/scream.safetensors}

export GST_PLUGIN_PATH=${CARGO_TARGET_DIR:-$root/target}/release${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}
# The queue drops old frames, so that the window shows what happens now.
exec gst-launch-1.0 "${source[@]}" \
    ! "video/x-raw,width=${size%x*},height=${size#*x}" \
    ! queue leaky=downstream max-size-buffers=1 \
    ! faststyle model="$model" ! queue ! autovideosink
