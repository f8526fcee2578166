//! How long work takes by the device's own clock: for benches.

use super::device::{Device, failed};
use crate::error::Result;

impl Device {
    /// Seconds from when the device has done all that was started before until it has done what `work` starts. Waits for it.
    ///
    /// # Errors
    /// Those of `work`; a failure of the device.
    pub fn timed(&self, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        let moment = || {
            let flags = Some(cudarc::driver::sys::CUevent_flags::CU_EVENT_DEFAULT);
            self.stream.record_event(flags).map_err(|e| failed("clock", &e))
        };
        let begin = moment()?;
        work()?;
        let end = moment()?;
        Ok(f64::from(begin.elapsed_ms(&end).map_err(|e| failed("clock", &e))?) * 1e-3)
    }
}
