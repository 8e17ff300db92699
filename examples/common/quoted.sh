# For shell scripts to source.

# Quotes any text for gst-launch-1.0.
quoted() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}
