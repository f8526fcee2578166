//! The device that is asked for, and why there may be none.

use super::failure::line;
use crate::error::{Error, ErrorKind, Result};

/// What one wants of a GPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Take an adapter that is a program on the CPU. It is slower than the `simd` engine and good for tests only.
    pub allow_software: bool,
    /// What products multiply.
    pub precision: Precision,
    /// Which of several adapters.
    pub power: Power,
    /// Natively, let the compiler add tests to every index and loop of a kernel, as browsers do. The kernels need none.
    pub checked: bool,
}

/// What products multiply; sums are `f32`, those of int8 integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// The form of the file: int8 weights are multiplied as integers with activations rounded as the `simd` engine rounds
    /// them, `f32` weights in `f32`.
    #[default]
    Int8,
    /// `f32`, whatever the form of the file.
    F32,
    /// Weights rounded to `f16`, activations `f32`; needs an adapter with `shader-f16`.
    F16,
}

impl Precision {
    /// All, in the order of the page's documentation.
    pub const ALL: [Self; 3] = [Self::Int8, Self::F32, Self::F16];

    /// As a page says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

/// Which adapter is preferred, where there are several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Power {
    /// The fastest.
    #[default]
    High,
    /// The one that spares the battery.
    Low,
}

/// The adapter of an opened engine. Browsers leave most of it empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// As the driver names it.
    pub name: String,
    /// The driver and its version.
    pub driver: String,
    /// `vulkan`, `metal`, `webgpu`.
    pub api: String,
    software: bool,
    f16: bool,
    int8: bool,
    timestamps: bool,
}

impl Adapter {
    fn of(adapter: &wgpu::Adapter, instance: &wgpu::Instance) -> Self {
        let (info, features) = (adapter.get_info(), adapter.features());
        let language = instance.wgsl_language_features();
        Self {
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            api: info.backend.to_string(),
            software: info.device_type == wgpu::DeviceType::Cpu,
            f16: features.contains(wgpu::Features::SHADER_F16),
            int8: language.contains(wgpu::WgslLanguageFeatures::Packed4x8IntegerDotProduct),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            name: info.name,
        }
    }

    /// Whether it is a program on the CPU.
    pub fn is_software(&self) -> bool {
        self.software
    }

    /// Whether weights can be stored as `f16`.
    pub fn has_f16(&self) -> bool {
        self.f16
    }

    /// Whether int8 can be multiplied as it is.
    pub fn has_int8(&self) -> bool {
        self.int8
    }

    /// Whether it can say when its work began and ended.
    pub fn has_timestamps(&self) -> bool {
        self.timestamps
    }
}

/// A device with what it runs on.
pub(super) struct Opened {
    pub(super) adapter: Adapter,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
}

/// Opens a device with no more than the limits that every WebGPU has, but for the sizes of buffers.
///
/// # Errors
/// [`ErrorKind::NoAdapter`], [`ErrorKind::SoftwareAdapter`], [`ErrorKind::GpuLimits`], also for a precision that the adapter lacks.
pub(super) async fn open(options: Options) -> Result<Opened> {
    let mut description = wgpu::InstanceDescriptor::new_without_display_handle();
    // The engine checks what it records, whatever it was compiled for; Vulkan's validation layers are for its tests.
    description.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(description);
    let power_preference = match options.power {
        Power::High => wgpu::PowerPreference::HighPerformance,
        Power::Low => wgpu::PowerPreference::LowPower,
    };
    let request = wgpu::RequestAdapterOptions { power_preference, ..Default::default() };
    let found = instance.request_adapter(&request).await.map_err(|error| {
        // In a page the error lists what was not compiled in, which is no reader's concern.
        let detail =
            if cfg!(target_arch = "wasm32") { "the browser offers none".into() } else { line(&error.to_string()) };
        let message = format!("no GPU adapter: {detail}");
        Error::new(ErrorKind::NoAdapter, message)
    })?;
    let adapter = Adapter::of(&found, &instance);
    if adapter.software && !options.allow_software {
        let message = format!("the only GPU adapter, {:?}, is software and slower than the CPU engine", adapter.name);
        return Err(Error::new(ErrorKind::SoftwareAdapter, message));
    }
    if options.precision == Precision::F16 && !adapter.f16 {
        let message = format!("the adapter {:?} has no shader-f16: use f32 or int8", adapter.name);
        return Err(Error::new(ErrorKind::GpuLimits, message));
    }
    let (device, queue) = found.request_device(&described(&found, options)?).await.map_err(|error| {
        let message = format!("no GPU device: {}", line(&error.to_string()));
        Error::new(ErrorKind::GpuLimits, message)
    })?;
    Ok(Opened { adapter, device, queue })
}

fn described(adapter: &wgpu::Adapter, options: Options) -> Result<wgpu::DeviceDescriptor<'static>> {
    let (offered, needed) = (adapter.limits(), wgpu::Limits::defaults());
    let smaller = [
        ("storage buffers a stage", offered.max_storage_buffers_per_shader_stage, 8),
        ("bytes of workgroup memory", offered.max_compute_workgroup_storage_size, 16_384),
        ("threads a workgroup", offered.max_compute_invocations_per_workgroup, 256),
    ]
    .into_iter()
    .find(|(_, offered, needed)| offered < needed);
    if let Some((what, offered, needed)) = smaller {
        let message = format!("the GPU adapter offers {offered} {what}, expected at least {needed}");
        return Err(Error::new(ErrorKind::GpuLimits, message));
    }
    let mut required_features = wgpu::Features::empty();
    if options.precision == Precision::F16 {
        required_features |= wgpu::Features::SHADER_F16;
    }
    // For benches; costs nothing where it is not asked.
    required_features |= adapter.features() & wgpu::Features::TIMESTAMP_QUERY;
    let required_limits = wgpu::Limits {
        max_buffer_size: offered.max_buffer_size,
        max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
        ..needed
    };
    Ok(wgpu::DeviceDescriptor { label: Some("clinlite"), required_features, required_limits, ..Default::default() })
}
