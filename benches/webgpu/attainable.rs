//! The most multiply-adds a second that this card does, by kernels that do nothing else.

use std::error::Error;

use super::Attainable;

/// Turns of the loop, steps in each, and chains side by side.
const TURNS: usize = 64;
const STEPS: usize = 8;
const CHAINS: usize = 8;
const THREADS: usize = 256;
const ROUNDS: usize = 10;

/// One form of numbers.
struct Form {
    name: &'static str,
    head: &'static str,
    chain: &'static str,
    /// One step of chain `{i}`.
    step: &'static str,
    /// Operations of a step.
    operations: usize,
    feature: wgpu::Features,
}

const FORMS: [Form; 3] = [
    Form {
        name: "f32",
        head: "",
        chain: "var a{i} = vec4<f32>(f32(id.x) * 1e-9 + {i}.0);",
        step: "a{i} = fma(a{i}, vec4(0.999), vec4(0.5));",
        operations: 8,
        feature: wgpu::Features::empty(),
    },
    Form {
        name: "f16",
        head: "enable f16;\n",
        chain: "var a{i} = vec4<f16>(f16(f32(id.x) * 1e-9) + {i}.0h);",
        step: "a{i} = fma(a{i}, vec4(0.9h), vec4(0.5h));",
        operations: 8,
        feature: wgpu::Features::SHADER_F16,
    },
    Form {
        name: "int8",
        head: "",
        chain: "var a{i} = vec4<u32>(id.x + {i}u);",
        step: "a{i} += vec4(u32(dot4I8Packed(a{i}.x, id.x)), u32(dot4I8Packed(a{i}.y, id.x)), u32(dot4I8Packed(a{i}.z, id.x)), u32(dot4I8Packed(a{i}.w, id.x)));",
        operations: 32,
        feature: wgpu::Features::empty(),
    },
];

pub(crate) async fn measure() -> Result<Attainable, Box<dyn Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let power_preference = wgpu::PowerPreference::HighPerformance;
    let options = wgpu::RequestAdapterOptions { power_preference, ..Default::default() };
    let adapter = instance.request_adapter(&options).await?;
    if !adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
        println!("attainable: the adapter has no clock");
        return Ok(Attainable::default());
    }
    let required_features = wgpu::Features::TIMESTAMP_QUERY | (adapter.features() & wgpu::Features::SHADER_F16);
    let wanted = wgpu::DeviceDescriptor { required_features, ..Default::default() };
    let (device, queue) = adapter.request_device(&wanted).await?;
    let software = adapter.get_info().device_type == wgpu::DeviceType::Cpu;
    let mut found = Attainable::default();
    for form in FORMS.iter().filter(|form| device.features().contains(form.feature)) {
        let groups = if software { 16 } else { 32_768 };
        let seconds = best(&device, &queue, form, groups);
        let rate = (groups * THREADS * TURNS * STEPS * CHAINS * form.operations) as f64 / seconds;
        println!("attainable {:4}: {:6.2} Tera operations/s", form.name, rate * 1e-12);
        match form.name {
            "f32" => found.f32 = Some(rate),
            "int8" => found.int8 = Some(rate),
            _ => (),
        }
    }
    Ok(found)
}

fn source(form: &Form) -> String {
    let each = |line: &str| (0..CHAINS).map(|i| line.replace("{i}", &i.to_string())).collect::<Vec<_>>().join("\n");
    let last = (0..CHAINS).map(|i| format!("vec4<f32>(a{i})")).collect::<Vec<_>>().join(" + ");
    format!(
        "{}@group(0) @binding(0) var<storage, read_write> out: array<vec4<f32>>;
        @compute @workgroup_size({THREADS}) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
            {}
            for (var i = 0u; i < {TURNS}u; i++) {{ {} }}
            let sum = {last};
            if sum.x == 1234.5 {{ out[0] = sum; }}
        }}",
        form.head,
        each(form.chain),
        each(form.step).repeat(STEPS)
    )
}

/// Seconds of the fastest round.
fn best(device: &wgpu::Device, queue: &wgpu::Queue, form: &Form, groups: usize) -> f64 {
    let source = wgpu::ShaderSource::Wgsl(source(form).into());
    let description = wgpu::ShaderModuleDescriptor { label: None, source };
    // Safety: the only loop is counted, and the only index is zero.
    let module = unsafe { device.create_shader_module_trusted(description, wgpu::ShaderRuntimeChecks::unchecked()) };
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let buffer = |size, usage| {
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let out = buffer(16, wgpu::BufferUsages::STORAGE);
    let resolved = buffer(16, wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
    let read = buffer(16, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let entries = [wgpu::BindGroupEntry { binding: 0, resource: out.as_entire_binding() }];
    let layout = pipeline.get_bind_group_layout(0);
    let group =
        device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries });
    let queries = wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 2 };
    let queries = device.create_query_set(&queries);
    let round = || {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
            query_set: &queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(groups as u32, 1, 1);
        drop(pass);
        encoder.resolve_query_set(&queries, 0..2, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &read, 0, 16);
        queue.submit([encoder.finish()]);
        read.slice(..).map_async(wgpu::MapMode::Read, |result| result.expect("maps"));
        device.poll(wgpu::PollType::wait_indefinitely()).expect("done");
        let view = read.slice(..).get_mapped_range().expect("mapped");
        let [begin, end] = [0, 8].map(|at| u64::from_le_bytes(view[at..at + 8].try_into().expect("eight bytes")));
        drop(view);
        read.unmap();
        (end - begin) as f64 * f64::from(queue.get_timestamp_period()) * 1e-9
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}
