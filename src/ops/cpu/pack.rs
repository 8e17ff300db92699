//! Weights in the order in which the kernels read them.

use super::LANES;

/// Columns in a panel of packed weights.
pub const PANEL: usize = 2 * LANES;

/// A matrix `[depth][columns]` cut into panels of [`PANEL`] columns, each
/// stored `[depth][columns of the panel, padded with zeros to whole vectors]`.
#[derive(Clone, Debug)]
pub struct Panels {
    data: Vec<f32>,
    depth: usize,
    columns: usize,
}

impl Panels {
    /// Packs the matrix whose elements `element(depth, column)` gives.
    pub fn pack(depth: usize, columns: usize, element: impl Fn(usize, usize) -> f32) -> Self {
        let mut panels = Panels {
            data: vec![0.0; depth * columns.next_multiple_of(LANES)],
            depth,
            columns,
        };
        for panel in 0..panels.count() {
            let (first, width) = (panel * PANEL, panels.padded_width(panel));
            let start = panels.start(panel);
            for k in 0..depth {
                for column in first..(first + PANEL).min(columns) {
                    panels.data[start + k * width + column - first] = element(k, column);
                }
            }
        }
        panels
    }

    /// Number of panels.
    pub fn count(&self) -> usize {
        self.columns.div_ceil(PANEL)
    }

    /// Rows of the matrix.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the matrix.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// First column, number of columns, numbers from a row to the next, and
    /// the numbers themselves of a panel.
    pub fn panel(&self, panel: usize) -> (usize, usize, usize, &[f32]) {
        let first = panel * PANEL;
        let width = self.padded_width(panel);
        let start = self.start(panel);
        let data = &self.data[start..start + self.depth * width];
        (first, PANEL.min(self.columns - first), width, data)
    }

    fn start(&self, panel: usize) -> usize {
        panel * PANEL * self.depth
    }

    fn padded_width(&self, panel: usize) -> usize {
        PANEL
            .min(self.columns - panel * PANEL)
            .next_multiple_of(LANES)
    }
}
