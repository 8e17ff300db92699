//! Devices that are not there, or not for us.

use crate::engine::model;
use crate::stand_in::alone;
use gstfaststyle::{DeviceChoice, EngineError, Options, Prepared};

fn prepare(device: DeviceChoice) -> Result<Prepared, EngineError> {
    let options = Options {
        device,
        ..Options::default()
    };
    Prepared::new(&model(8, 1), options)
}

/// By name there is an error that says `reason`, and `auto` takes the CPU.
fn refused(reason: &str) {
    let error = prepare(DeviceChoice::Cuda(0)).err().unwrap().to_string();
    assert!(error.contains(reason), "{error}");
    let prepared = prepare(DeviceChoice::Auto).unwrap();
    assert!(prepared.device().is_cpu());
    let fallback = prepared.fallback().unwrap();
    assert!(fallback.contains(reason), "{fallback}");
}

#[test]
fn no_device() {
    let variables = [("FASTSTYLE_STAND_IN", "none")];
    alone("missing::no_device", &variables, || {
        refused("CUDA_ERROR_NO_DEVICE");
    });
}

#[test]
fn a_busy_device() {
    let variables = [("FASTSTYLE_STAND_IN", "busy")];
    alone("missing::a_busy_device", &variables, || {
        refused("CUDA_ERROR_DEVICE_UNAVAILABLE");
    });
}

#[test]
fn a_full_device() {
    let variables = [("FASTSTYLE_STAND_IN_MIB", "0")];
    alone("missing::a_full_device", &variables, || {
        refused("out of memory: 1 MiB needed");
    });
}

#[test]
fn a_device_of_another_number() {
    let error = prepare(DeviceChoice::Cuda(77)).err().unwrap();
    assert!(error.to_string().contains("cuda:77"), "{error}");
    assert!(matches!(error, EngineError::Device { .. }), "{error:?}");
}

#[test]
fn a_device_that_is_there() {
    let prepared = prepare(DeviceChoice::Auto).unwrap();
    assert!(prepared.device().is_cuda());
    assert_eq!(prepared.fallback(), None);
}
