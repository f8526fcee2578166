//! How long each kernel takes, by the device's own clock: for benches.

/// The commands that can be timed at once: a query set holds 4,096 moments.
const MOST: usize = 2048;

/// Two moments of each command.
pub(super) struct Clock {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    /// As long as both: what the host reads.
    pub(super) read: wgpu::Buffer,
}

impl Clock {
    /// The device must have `TIMESTAMP_QUERY`.
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: 2 * MOST as u32,
        });
        let buffer = |usage| {
            let size = 16 * MOST as u64;
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        let read = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        Self { queries, resolved, read }
    }

    /// When command `i` begins and ends; what is too late to be timed has no moments.
    pub(super) fn writes(&self, i: usize) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        (i < MOST).then(|| wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(2 * i as u32),
            end_of_pass_write_index: Some(2 * i as u32 + 1),
        })
    }

    /// After the last of `commands`.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder, commands: usize) {
        let commands = commands.min(MOST);
        if commands > 0 {
            encoder.resolve_query_set(&self.queries, 0..2 * commands as u32, &self.resolved, 0);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.read, 0, 16 * commands as u64);
        }
    }

    /// Seconds of each command, from what was read.
    pub(super) fn seconds(moments: &[u64], period: f32) -> Vec<f64> {
        let tick = f64::from(period) * 1e-9;
        moments.as_chunks::<2>().0.iter().map(|[begin, end]| end.saturating_sub(*begin) as f64 * tick).collect()
    }
}
