fn main() {
    #[cfg(feature = "gst")]
    gst_plugin_version_helper::info();
}
