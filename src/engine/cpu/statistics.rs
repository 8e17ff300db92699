//! Where the normalisations of a picture take their means and deviations from:
//! the picture, or the whole of which it is a part.

use super::norm::InstanceNorm;
use crate::ops::cpu::norm::{self, Affine, Moments};
use std::ops::{ControlFlow, Range};
use std::slice;

/// What the network's normalisations must know of a whole picture that is
/// painted in tiles.
///
/// What a layer computes depends on the statistics of those before it, so they
/// are found one after the other: each layer's from all tiles, by
/// [`CpuNetwork::measure`](super::CpuNetwork::measure), then
/// [`Statistics::finalize`].
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// What the first normalisations do.
    known: Vec<Affine>,
    /// Moments of the next layer in the tiles so far, a row of channels each.
    moments: Vec<Moments>,
    /// The next normalisation, by these moments.
    next: Affine,
}

impl Statistics {
    /// Ends a layer: all tiles have been measured.
    pub fn finalize(&mut self) {
        self.known.push(std::mem::take(&mut self.next));
        self.moments.clear();
    }
}

/// Where a picture's normalisations get their statistics.
pub enum Norms<'a> {
    /// Each from what its layer makes of the picture.
    Own,
    /// All from the whole of which the picture is a part.
    Given(slice::Iter<'a, Affine>),
    /// The same, as far as they are known; the next one is to be measured.
    Measured {
        known: slice::Iter<'a, Affine>,
        window: Window,
        moments: &'a mut Vec<Moments>,
        next: &'a mut Affine,
    },
}

impl<'a> Norms<'a> {
    /// The normalisations of a whole picture whose `statistics` are complete.
    pub fn given(statistics: &'a Statistics) -> Self {
        Norms::Given(statistics.known.iter())
    }

    /// The normalisations of a whole picture whose next layer is to be measured.
    pub fn measured(statistics: &'a mut Statistics, window: Window) -> Self {
        Norms::Measured {
            known: statistics.known.iter(),
            window,
            moments: &mut statistics.moments,
            next: &mut statistics.next,
        }
    }

    /// Whether a layer is to gather the moments of all that it computes.
    pub fn are_own(&self) -> bool {
        matches!(self, Norms::Own)
    }

    /// Makes `affine` what normalises a layer's result: `gathered` holds the
    /// moments of all of it if they [are wanted](Self::are_own); else `measure`
    /// puts those of a window there. Breaks where the statistics end: all that
    /// was to be measured has been, or what was given does not suffice.
    pub fn finalize(
        &mut self,
        norm: &InstanceNorm,
        affine: &mut Affine,
        gathered: &mut Vec<Moments>,
        measure: impl FnOnce(&Window, &mut Vec<Moments>),
    ) -> ControlFlow<()> {
        match self {
            Norms::Own => norm.finalize(gathered, affine),
            Norms::Given(known) => match known.next() {
                Some(known) => affine.clone_from(known),
                None => return ControlFlow::Break(()),
            },
            Norms::Measured {
                known,
                window,
                moments,
                next,
            } => match known.next() {
                Some(known) => affine.clone_from(known),
                None => {
                    measure(window, gathered);
                    moments.extend(norm::merge(gathered, norm.channels()));
                    norm.finalize(moments, next);
                    return ControlFlow::Break(());
                }
            },
        }
        ControlFlow::Continue(())
    }
}

/// Rows and columns of an image at the network's full size, from and to
/// multiples of 4.
#[derive(Clone, Debug)]
pub struct Window {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

impl Window {
    /// The same part of an image whose sides are shorter by `divisor`.
    pub fn divided(&self, divisor: usize) -> Window {
        let part = |range: &Range<usize>| range.start / divisor..range.end / divisor;
        Window {
            rows: part(&self.rows),
            columns: part(&self.columns),
        }
    }
}
