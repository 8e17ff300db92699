//! What programs name and do not need here: it says so and fails.

use std::sync::Once;

macro_rules! unsupported {
    ($status:literal: $($name:ident)+) => {
        $(
            #[unsafe(no_mangle)]
            pub extern "C" fn $name() -> u32 {
                static TOLD: Once = Once::new();
                TOLD.call_once(|| {
                    eprintln!("faststyle-cuda-driver: {} is not there", stringify!($name));
                });
                $status
            }
        )+
    };
}

// Functions of the driver that Candle links.
unsupported! {
    801:
    cuMemAllocAsync
    cuModuleLoad
}

// Functions of cuBLAS that Candle links.
unsupported! {
    15:
    cublasDgemmStridedBatched
    cublasGemmStridedBatchedEx
}

// Functions of the driver that GStreamer looks up.
unsupported! {
    801:
    cuCtxEnablePeerAccess
    cuCtxDisablePeerAccess
    cuGraphicsMapResources
    cuGraphicsUnmapResources
    cuGraphicsUnregisterResource
    cuGraphicsResourceSetMapFlags_v2
    cuGraphicsSubResourceGetMappedArray
    cuGraphicsResourceGetMappedPointer_v2
    cuGraphicsGLRegisterImage
    cuGraphicsGLRegisterBuffer
    cuGLGetDevices_v2
    cuTexObjectCreate
    cuTexObjectDestroy
}

// Functions of the video decoder: without that library GStreamer's plugin has no elements
// at all.
unsupported! {
    801:
    cuvidCreateDecoder
    cuvidCreateVideoParser
    cuvidCtxLock
    cuvidCtxLockCreate
    cuvidCtxLockDestroy
    cuvidCtxUnlock
    cuvidDecodePicture
    cuvidDestroyDecoder
    cuvidDestroyVideoParser
    cuvidGetDecoderCaps
    cuvidMapVideoFrame64
    cuvidParseVideoData
    cuvidUnmapVideoFrame64
}
