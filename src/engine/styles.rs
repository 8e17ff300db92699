//! What each style of a network has to itself, and mixes of it.

use super::EngineError;
use crate::network::{Model, StyleMix};
use std::ops::Range;

/// Scales, shifts and biases of all layers: a row for each style.
pub struct StyleTable {
    rows: Vec<Vec<f32>>,
}

impl StyleTable {
    /// Rows of nothing yet.
    pub fn new(styles: usize) -> Self {
        StyleTable {
            rows: vec![Vec::new(); styles],
        }
    }

    /// Appends to each row that style's numbers of the tensor `name` of `model`,
    /// `[outputs]` or `[styles, outputs]`, and zeros up to `len`. Returns where
    /// in the rows they are.
    ///
    /// # Errors
    /// A model without the tensor, or with one of another shape.
    pub fn push(
        &mut self,
        model: &Model,
        name: &str,
        len: usize,
    ) -> candle_core::Result<Range<usize>> {
        let tensor = model.tensor(name)?;
        let styles = self.rows.len();
        let outputs = tensor.elem_count() / styles;
        let values = tensor.reshape((styles, outputs))?.to_vec2::<f32>()?;
        let start = self.len();
        for (row, values) in self.rows.iter_mut().zip(values) {
            row.extend(values);
            row.resize(start + len, 0.0);
        }
        Ok(start..start + len)
    }

    /// How long rows are.
    pub fn len(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// Makes `mean` the weighted mean of the rows.
    fn blend(&self, mix: &StyleMix, mean: &mut Vec<f32>) {
        mean.clear();
        if let [(style, _)] = *mix.parts() {
            mean.extend(&self.rows[style]);
            return;
        }
        mean.resize(self.len(), 0.0);
        for &(style, weight) in mix.parts() {
            for (mean, value) in mean.iter_mut().zip(&self.rows[style]) {
                *mean += value * weight;
            }
        }
    }
}

/// A mix of styles, and its row.
#[derive(Default)]
pub struct MixedStyle {
    mix: StyleMix,
    row: Vec<f32>,
}

impl MixedStyle {
    /// The first style of `table`.
    pub fn new(table: &StyleTable) -> Self {
        let mut style = MixedStyle::default();
        style.reset(table);
        style
    }

    /// Becomes the first style of another table.
    pub fn reset(&mut self, table: &StyleTable) {
        self.mix.clone_from(&StyleMix::default());
        table.blend(&self.mix, &mut self.row);
    }

    /// Becomes this mix of the styles of `table`. Whether it was another.
    ///
    /// # Errors
    /// [`EngineError::NoStyle`].
    pub fn set(&mut self, table: &StyleTable, mix: &StyleMix) -> Result<bool, EngineError> {
        if self.mix == *mix {
            return Ok(false);
        }
        check(mix, table.rows.len())?;
        self.mix.clone_from(mix);
        table.blend(&self.mix, &mut self.row);
        Ok(true)
    }

    /// The mix's row.
    pub fn row(&self) -> &[f32] {
        &self.row
    }
}

/// # Errors
/// [`EngineError::NoStyle`] if one of the mix is beyond the network's `styles`.
pub fn check(mix: &StyleMix, styles: usize) -> Result<(), EngineError> {
    match mix.missing(styles) {
        Some(style) => Err(EngineError::NoStyle { style, styles }),
        None => Ok(()),
    }
}
