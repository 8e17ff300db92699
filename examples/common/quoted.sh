# For shell scripts to source.

# Text for gst-launch-1.0, whatever characters it has.
quoted() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}
