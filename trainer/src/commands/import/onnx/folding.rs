//! Whole numbers that a graph computes from constants alone, such as how far borders
//! reach: some versions of PyTorch write this arithmetic in place of its result.

use crate::io::onnx::proto::{INT64, Node, Tensor};
use std::collections::HashMap;

/// No list of sizes or borders is longer; a damaged file may claim any length.
const MOST: usize = 64;

/// Whole numbers in rows and columns, in one row, or a single one.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    shape: Vec<usize>,
    /// The numbers, row by row.
    pub values: Vec<i64>,
}

/// Those known of a graph, by the names of what computes them.
pub type Known<'g> = HashMap<&'g str, Numbers>;

impl Numbers {
    fn list(values: Vec<i64>) -> Self {
        Numbers {
            shape: vec![values.len()],
            values,
        }
    }

    fn single(value: i64) -> Self {
        Numbers {
            shape: Vec::new(),
            values: vec![value],
        }
    }

    /// Those of a tensor in the file, if it holds whole numbers, and few.
    pub fn of(tensor: &Tensor) -> Option<Self> {
        if tensor.data_type != Some(INT64) {
            return None;
        }
        let raw = tensor.raw_data.as_deref().unwrap_or_default();
        let (numbers, _) = raw.as_chunks();
        let numbers = numbers.iter().map(|number| i64::from_le_bytes(*number));
        let values: Vec<i64> = numbers
            .chain(tensor.int64_data.iter().copied())
            .take(MOST + 1)
            .collect();
        let sizes = tensor.dims.iter().map(|size| usize::try_from(*size).ok());
        let shape = sizes.collect::<Option<Vec<_>>>()?;
        Numbers { shape, values }.checked()
    }

    /// None if there are too many, or not as many as its shape says.
    fn checked(self) -> Option<Self> {
        let count = self
            .shape
            .iter()
            .try_fold(1usize, |n, side| n.checked_mul(*side));
        (count == Some(self.values.len()) && self.values.len() <= MOST).then_some(self)
    }

    /// Rows, and numbers in each.
    fn rows(&self) -> Option<(usize, usize)> {
        match self.shape[..] {
            [count] => Some((count, 1)),
            [rows, columns] => Some((rows, columns)),
            _ => None,
        }
    }
}

/// What `node` computes, if it is arithmetic on numbers that are `known`.
pub fn fold(node: &Node, known: &Known) -> Option<Numbers> {
    let input = |i: usize| known.get(node.input.get(i)?.as_str());
    match node.op_type.as_deref()? {
        "Constant" => Numbers::of(node.attribute("value")?.t.as_ref()?),
        "Identity" => input(0).cloned(),
        // To whole numbers: they are.
        "Cast" if node.attribute("to")?.i == Some(INT64.into()) => input(0).cloned(),
        "Shape" => {
            let sizes = input(0)?.shape.iter().map(|side| *side as i64);
            Some(Numbers::list(sizes.collect()))
        }
        "Size" => Some(Numbers::single(input(0)?.values.len() as i64)),
        "Add" => pairwise(input(0)?, input(1)?, i64::checked_add),
        "Sub" => pairwise(input(0)?, input(1)?, i64::checked_sub),
        "Mul" => pairwise(input(0)?, input(1)?, i64::checked_mul),
        "Concat" => concat(node, known),
        "ConstantOfShape" => {
            let [count] = input(0)?.values[..] else {
                return None;
            };
            let count = usize::try_from(count).ok().filter(|n| *n <= MOST)?;
            let value = Numbers::of(node.attribute("value")?.t.as_ref()?)?;
            Some(Numbers::list(vec![*value.values.first()?; count]))
        }
        "Gather" => gather(input(0)?, input(1)?),
        "Reshape" => reshape(input(0)?, &input(1)?.values),
        "Squeeze" | "Unsqueeze" => lengthen(input(0)?),
        "Slice" => {
            let list = |i| Some(&input(i)?.values[..]);
            let places = [list(1)?, list(2)?, list(3)?, list(4).unwrap_or(&[1])];
            slice(input(0)?, places)
        }
        "Transpose" => {
            let (rows, columns) = input(0)?.rows()?;
            let values = &input(0)?.values;
            let order = (0..columns).flat_map(|x| (0..rows).map(move |y| y * columns + x));
            Some(Numbers {
                shape: vec![columns, rows],
                values: order.map(|at| values[at]).collect(),
            })
        }
        _ => None,
    }
}

/// Of numbers with the same shape, or of a single one with each.
fn pairwise(a: &Numbers, b: &Numbers, with: fn(i64, i64) -> Option<i64>) -> Option<Numbers> {
    let longer = if a.values.len() >= b.values.len() {
        a
    } else {
        b
    };
    let fits = |n: &Numbers| n.values.len() == 1 || n.shape == longer.shape;
    if !fits(a) || !fits(b) {
        return None;
    }
    let at = |n: &Numbers, i: usize| n.values[i % n.values.len()];
    let values = (0..longer.values.len()).map(|i| with(at(a, i), at(b, i)));
    Some(Numbers {
        shape: longer.shape.clone(),
        values: values.collect::<Option<_>>()?,
    })
}

/// Lists, one after the other.
fn concat(node: &Node, known: &Known) -> Option<Numbers> {
    let mut values = Vec::new();
    for name in &node.input {
        let numbers = known.get(name.as_str())?;
        if numbers.shape.len() != 1 {
            return None;
        }
        values.extend(&numbers.values);
    }
    Numbers::list(values).checked()
}

fn gather(numbers: &Numbers, places: &Numbers) -> Option<Numbers> {
    if numbers.shape.len() != 1 {
        return None;
    }
    let length = numbers.values.len() as i64;
    let value = |place: &i64| {
        let place = if *place < 0 { place + length } else { *place };
        numbers.values.get(usize::try_from(place).ok()?).copied()
    };
    Some(Numbers {
        shape: places.shape.clone(),
        values: places.values.iter().map(value).collect::<Option<_>>()?,
    })
}

/// As a list or in rows; a side of -1 follows from the others.
fn reshape(numbers: &Numbers, shape: &[i64]) -> Option<Numbers> {
    let mut known = shape.iter().filter(|side| **side >= 0);
    let known = known.try_fold(1i64, |n, side| n.checked_mul(*side))?;
    let side = |side: &i64| match side {
        -1 if known > 0 => Some(numbers.values.len() / known as usize),
        side => usize::try_from(*side).ok(),
    };
    Numbers {
        shape: shape.iter().map(side).collect::<Option<_>>()?,
        values: numbers.values.clone(),
    }
    .checked()
}

/// A single number as a list, and the other way round.
fn lengthen(numbers: &Numbers) -> Option<Numbers> {
    let [value] = numbers.values[..] else {
        return None;
    };
    Some(match numbers.shape.is_empty() {
        true => Numbers::list(vec![value]),
        false => Numbers::single(value),
    })
}

/// Rows from a start to an end, perhaps backwards.
fn slice(numbers: &Numbers, places: [&[i64]; 4]) -> Option<Numbers> {
    let [&[start], &[end], &[0], &[step]] = places else {
        return None;
    };
    let (rows, columns) = numbers.rows()?;
    let count = rows as i64;
    // Before the first and behind the last are places, too.
    let within = |at: i64| match at < 0 {
        true => at.saturating_add(count).max(-1),
        false => at.min(count),
    };
    let (start, end) = (within(start), within(end));
    let places: Vec<i64> = match step {
        1 => (start.max(0)..end).collect(),
        -1 => (end + 1..=start.min(count - 1)).rev().collect(),
        _ => return None,
    };
    let row = |place: i64| numbers.values[place as usize * columns..][..columns].to_vec();
    let mut shape = numbers.shape.clone();
    *shape.first_mut()? = places.len();
    Some(Numbers {
        shape,
        values: places.into_iter().flat_map(row).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::onnx::proto::Attribute;

    fn list(values: &[i64]) -> Numbers {
        Numbers::list(values.to_vec())
    }

    fn of(kind: &str, inputs: &[Numbers], attributes: Vec<Attribute>) -> Option<Vec<i64>> {
        let names: Vec<String> = (0..inputs.len()).map(|i| i.to_string()).collect();
        let known = names.iter().map(String::as_str).zip(inputs.iter().cloned());
        let node = Node {
            input: names.clone(),
            op_type: Some(kind.into()),
            attribute: attributes,
            ..Node::default()
        };
        fold(&node, &known.collect()).map(|numbers| numbers.values)
    }

    #[test]
    fn arithmetic_is_that_of_onnx() {
        let rows = reshape(&list(&[1, 2, 3, 4, 5, 6]), &[-1, 2]).unwrap();
        assert_eq!(rows.shape, [3, 2]);
        let all = i64::MIN + 1;
        for (kind, inputs, expected) in [
            ("Sub", vec![Numbers::single(8), list(&[2])], Some(vec![6])),
            ("Mul", vec![list(&[2, 3]), list(&[4, 5])], Some(vec![8, 15])),
            ("Mul", vec![list(&[2, 3]), list(&[4, 5, 6])], None),
            ("Mul", vec![list(&[i64::MAX]), list(&[2])], None),
            ("Shape", vec![rows.clone()], Some(vec![3, 2])),
            ("Size", vec![rows.clone()], Some(vec![6])),
            (
                "Concat",
                vec![list(&[1]), list(&[2, 3])],
                Some(vec![1, 2, 3]),
            ),
            (
                "Gather",
                vec![list(&[7, 8, 9]), list(&[-1, 0])],
                Some(vec![9, 7]),
            ),
            ("Gather", vec![list(&[7, 8, 9]), list(&[3])], None),
            (
                "Transpose",
                vec![rows.clone()],
                Some(vec![1, 3, 5, 2, 4, 6]),
            ),
            ("Reshape", vec![rows.clone(), list(&[4, -1])], None),
            ("Reshape", vec![rows.clone(), list(&[0, -1])], None),
            (
                "Slice",
                vec![
                    rows.clone(),
                    list(&[-1]),
                    list(&[all]),
                    list(&[0]),
                    list(&[-1]),
                ],
                Some(vec![5, 6, 3, 4, 1, 2]),
            ),
            (
                "Slice",
                vec![list(&[7, 8, 9]), list(&[1]), list(&[i64::MAX]), list(&[0])],
                Some(vec![8, 9]),
            ),
            (
                "Slice",
                vec![list(&[7]), list(&[5]), list(&[2]), list(&[0])],
                Some(vec![]),
            ),
            ("Relu", vec![list(&[1])], None),
            ("Unsqueeze", vec![Numbers::single(3)], Some(vec![3])),
        ] {
            assert_eq!(of(kind, &inputs, vec![]), expected, "{kind} {inputs:?}");
        }
    }

    #[test]
    fn claimed_lengths_are_bounded() {
        let value = Attribute {
            name: Some("value".into()),
            t: Some(Tensor {
                data_type: Some(INT64),
                dims: vec![1],
                int64_data: vec![0],
                ..Tensor::default()
            }),
            ..Attribute::default()
        };
        let zeros = |count| of("ConstantOfShape", &[list(&[count])], vec![value.clone()]);
        assert_eq!(zeros(4), Some(vec![0; 4]));
        assert_eq!(zeros(1 << 40), None);
        assert_eq!(zeros(-1), None);
        let tensor = |dims, count| Tensor {
            data_type: Some(INT64),
            dims,
            int64_data: vec![5; count],
            ..Tensor::default()
        };
        assert!(Numbers::of(&tensor(vec![3], 3)).is_some());
        assert!(Numbers::of(&tensor(vec![3], 2)).is_none());
        assert!(Numbers::of(&tensor(vec![100], 100)).is_none());
        assert!(Numbers::of(&tensor(vec![-1], 0)).is_none());
    }
}
