#!/usr/bin/env bash
# Repaints live video from a camera, in a window.
#
#   examples/webcam.sh [--test] [MODEL]
#
# MODEL is a model file, or the name of a model in models/ or of an installed one
# (default: scream). --test shows a moving ball instead of a camera.
#
#   DEVICE  the camera (default: /dev/video0)
#   SIZE    size of the video (default: 640x480)
#   SINK    the video sink (default: autovideosink)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/examples/common/quoted.sh"

size=${SIZE:-640x480}
source=(v4l2src device="${DEVICE:-/dev/video0}" '!' decodebin '!' videoconvert '!' videoscale)
if [[ ${1:-} == --test ]]; then
    shift
    source=(videotestsrc is-live=true pattern=ball '!' videoconvert)
elif [[ ! -e ${DEVICE:-/dev/video0} ]]; then
    echo "Camera not found: ${DEVICE:-/dev/video0}. Set DEVICE, or try $0 --test" >&2
    exit 1
fi
read -ra sink <<<"${SINK:-autovideosink}"

export GST_PLUGIN_PATH=${CARGO_TARGET_DIR:-$root/target}/release${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}
export GST_FASTSTYLE_MODEL_PATH=$root/models${GST_FASTSTYLE_MODEL_PATH:+:$GST_FASTSTYLE_MODEL_PATH}
# The element adapts its resolution to the machine; the queue drops old frames if
# even the smallest is too slow.
exec gst-launch-1.0 "${source[@]}" \
    ! "video/x-raw,width=${size%x*},height=${size#*x}" \
    ! queue leaky=downstream max-size-buffers=1 \
    ! faststyle model="$(quoted "${1:-scream}")" ! queue ! "${sink[@]}"
