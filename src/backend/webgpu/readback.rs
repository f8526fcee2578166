//! Numbers on their way back: buffers that are used again, and the wait for them.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::failure::lost;
use super::recording::buffer;
use crate::error::Result;

/// Buffers that nobody reads from at the moment.
pub(super) struct Readback {
    free: Mutex<Vec<wgpu::Buffer>>,
    /// As old as the device, and so valid even where the device is lost.
    first: wgpu::Buffer,
}

impl Readback {
    pub(super) fn new(device: &wgpu::Device, created: &AtomicUsize) -> Self {
        Self { free: Mutex::default(), first: buffer(device, 8, READ, created) }
    }

    /// Waits until a lost device has said so. Firefox refuses what is made on one up to a tenth of a second before it tells the
    /// loss, which is told before a mapping ends.
    pub(super) async fn settle(&self, device: &wgpu::Device) {
        let _ = self.words(device, &self.first, 8).await;
    }

    /// A buffer of at least `len` floats.
    pub(super) fn take(&self, device: &wgpu::Device, len: usize, created: &AtomicUsize) -> wgpu::Buffer {
        let size = 4 * len as u64;
        let mut free = self.free();
        match free.iter().position(|buffer| buffer.size() >= size) {
            Some(at) => free.swap_remove(at),
            None => {
                // What is too small would stay so.
                free.pop();
                buffer(device, size.next_power_of_two().max(1 << 12), READ, created)
            }
        }
    }

    pub(super) fn give_back(&self, buffer: wgpu::Buffer) {
        self.free().push(buffer);
    }

    /// The first `len` floats, once the device has written them.
    pub(super) async fn floats(&self, device: &wgpu::Device, buffer: &wgpu::Buffer, len: usize) -> Result<Vec<f32>> {
        let floats = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        read(device, buffer, 4 * len, floats).await
    }

    /// The first `len` bytes as moments.
    pub(super) async fn words(&self, device: &wgpu::Device, buffer: &wgpu::Buffer, len: usize) -> Result<Vec<u64>> {
        let words = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|&bytes| u64::from_le_bytes(bytes)).collect();
        read(device, buffer, len, words).await
    }

    fn free(&self) -> MutexGuard<'_, Vec<wgpu::Buffer>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read<T>(
    device: &wgpu::Device,
    buffer: &wgpu::Buffer,
    len: usize,
    take: impl FnOnce(&[u8]) -> Vec<T>,
) -> Result<Vec<T>> {
    let slice = buffer.slice(..len as u64);
    let (mapped, told) = Told::pair();
    slice.map_async(wgpu::MapMode::Read, move |result| told.tell(result.is_ok()));
    // In a browser this does nothing, and the page goes on while it waits.
    let polled = device.poll(wgpu::PollType::wait_indefinitely());
    if polled.is_err() || !mapped.await {
        return Err(lost());
    }
    let view = slice.get_mapped_range().map_err(|_| lost())?;
    let values = take(&view);
    drop(view);
    buffer.unmap();
    Ok(values)
}

const READ: wgpu::BufferUsages = wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::COPY_DST);

/// One answer, from a callback to a future.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<(Option<bool>, Option<Waker>)>>);

/// Waits for the answer.
struct Telling(Told);

impl Told {
    fn pair() -> (Telling, Self) {
        let told = Self::default();
        (Telling(told.clone()), told)
    }

    fn tell(&self, answer: bool) {
        let waker = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = Some(answer);
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Future for Telling {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.0 {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
