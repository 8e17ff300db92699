#!/usr/bin/env bash
# Repaints live video from a camera, in a window.
#
#   examples/webcam.sh [--test] [--mirror] [MODEL]
#
# MODEL is a model file, or the name of a model in models/ or of an installed one
# (default: scream). --test shows a clip, again and again, instead of a camera.
#
#   DEVICE  the camera (default: /dev/video0)
#   SIZE    size of the video (default: 640x480)
#   SINK    the video sink (default: autovideosink)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/examples/common/quoted.sh"

size=${SIZE:-640x480}
device=${DEVICE:-/dev/video0}
source=(v4l2src device="$device" ! decodebin)
flip=none
while [[ ${1:-} == --* ]]; do
    case $1 in
    --test)
        # Packets without a container can be repeated without end.
        clip=$(mktemp --suffix .h264)
        trap 'rm -f "$clip"' EXIT
        gst-launch-1.0 -q filesrc location="$(quoted "$root/examples/media/big_buck_bunny.mp4")" ! qtdemux \
            ! h264parse ! video/x-h264,stream-format=byte-stream ! filesink location="$(quoted "$clip")"
        source=(multifilesrc location="$(quoted "$clip")" loop=true ! h264parse ! avdec_h264 ! clocksync)
        ;;
    --mirror) flip=horizontal-flip ;;
    *)
        echo "usage: $0 [--test] [--mirror] [MODEL]" >&2
        exit 2
        ;;
    esac
    shift
done
if [[ ${source[0]} == v4l2src && ! -e $device ]]; then
    echo "Camera not found: $device. Set DEVICE, or try $0 --test" >&2
    exit 1
fi
read -ra sink <<<"${SINK:-autovideosink}"

export GST_PLUGIN_PATH=${CARGO_TARGET_DIR:-$root/target}/release${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}
export GST_FASTSTYLE_MODEL_PATH=$root/models${GST_FASTSTYLE_MODEL_PATH:+:$GST_FASTSTYLE_MODEL_PATH}
# The element adapts its resolution to the machine; the queue drops old frames if
# even the smallest is too slow.
gst-launch-1.0 "${source[@]}" ! videoconvert ! videoscale \
    ! "video/x-raw,width=${size%x*},height=${size#*x}" ! videoflip method=$flip \
    ! queue leaky=downstream max-size-buffers=1 \
    ! faststyle model="$(quoted "${1:-scream}")" ! queue ! "${sink[@]}"
