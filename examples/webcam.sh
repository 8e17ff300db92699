#!/usr/bin/env bash
# Repaints what a camera sees, in a window.
#
#   examples/webcam.sh [--test] [MODEL]
#
# MODEL is a model file, or the name of one in models/ or of an installed one;
# `scream` without. --test takes a moving ball instead of a camera. Set DEVICE
# for another camera than /dev/video0, SIZE for another size than 640x480, SINK
# for another element than autovideosink.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/examples/common/quoted.sh"

size=${SIZE:-640x480}
source=(v4l2src device="${DEVICE:-/dev/video0}" '!' decodebin '!' videoconvert '!' videoscale)
if [[ ${1:-} == --test ]]; then
    shift
    source=(videotestsrc is-live=true pattern=ball '!' videoconvert)
elif [[ ! -e ${DEVICE:-/dev/video0} ]]; then
    echo "There is no camera ${DEVICE:-/dev/video0}: set DEVICE, or try $0 --test" >&2
    exit 1
fi
read -ra sink <<<"${SINK:-autovideosink}"

export GST_PLUGIN_PATH=${CARGO_TARGET_DIR:-$root/target}/release${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}
export GST_FASTSTYLE_MODEL_PATH=$root/models${GST_FASTSTYLE_MODEL_PATH:+:$GST_FASTSTYLE_MODEL_PATH}
# The network paints as large as there is time for; the queue drops old frames
# if there is none even so.
exec gst-launch-1.0 "${source[@]}" \
    ! "video/x-raw,width=${size%x*},height=${size#*x}" \
    ! queue leaky=downstream max-size-buffers=1 \
    ! faststyle model="$(quoted "${1:-scream}")" ! queue ! "${sink[@]}"
