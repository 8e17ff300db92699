//! L-BFGS within bounds: makes a smooth function of very many numbers small.
//!
//! The direction is that of Nocedal 1980 (Nocedal and Wright, "Numerical
//! Optimization", algorithm 7.4). Numbers at a bound that would leave it stay
//! where they are; the others go along the direction and are stopped by their
//! bounds: the two-metric projection of Bertsekas 1982. How far to go is found
//! by halving and doubling until the weak Wolfe conditions hold, as in Lewis
//! and Overton 2013, which does not mind kinks such as those of total
//! variation. No step makes the function larger.

use anyhow::{Result, ensure};
use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// Steps whose effect on the gradient is remembered.
const MEMORY: usize = 10;

/// A step has to bring this much of the fall that the slope promises.
const ARMIJO: f64 = 1e-4;

/// A step is long enough once the slope has become this much flatter.
const WOLFE: f64 = 0.9;

/// How often a step is halved or doubled at most.
const TRIALS: usize = 20;

/// A search for the numbers that make a function small.
///
/// The function gives its value with whatever else is to be known of the
/// point, as `V`, and its gradient.
pub struct Lbfgs<V> {
    bounds: RangeInclusive<f32>,
    first_step: f32,
    point: Point<V>,
    memory: VecDeque<Pair>,
}

/// Numbers, and what the function is there.
struct Point<V> {
    x: Vec<f32>,
    value: V,
    gradient: Vec<f32>,
}

/// A step, and what it did to the gradient.
struct Pair {
    step: Vec<f32>,
    change: Vec<f32>,
    /// Their product, above 0.
    curvature: f64,
}

impl<V: Copy + Into<f64>> Lbfgs<V> {
    /// Begins at `start`, each number of which is brought within `bounds`.
    /// `first_step` is how far the first trial moves the number that moves
    /// most, when nothing is known of the function yet.
    ///
    /// # Errors
    /// The errors of `function`, and a value that is not finite.
    pub fn new(
        mut start: Vec<f32>,
        bounds: RangeInclusive<f32>,
        first_step: f32,
        function: impl FnOnce(&[f32]) -> Result<(V, Vec<f32>)>,
    ) -> Result<Self> {
        for x in &mut start {
            *x = x.clamp(*bounds.start(), *bounds.end());
        }
        let point = Point::at(start, function)?;
        let value: f64 = point.value.into();
        ensure!(value.is_finite(), "the value at the start is {value}");
        Ok(Lbfgs {
            bounds,
            first_step,
            point,
            memory: VecDeque::with_capacity(MEMORY),
        })
    }

    /// The numbers now.
    pub fn x(&self) -> &[f32] {
        &self.point.x
    }

    /// What the function is there.
    pub fn value(&self) -> V {
        self.point.value
    }

    /// Takes one step of the search. `false` if it found nothing better: the
    /// search is at its end then, as far as the numbers' precision goes.
    ///
    /// # Errors
    /// The errors of `function`. The search is then as it was before the step.
    pub fn step(
        &mut self,
        mut function: impl FnMut(&[f32]) -> Result<(V, Vec<f32>)>,
    ) -> Result<bool> {
        loop {
            if let Some(next) = self.search(&self.direction(), &mut function)? {
                self.go_to(next);
                return Ok(true);
            }
            // What is remembered may mislead; straight downhill does not.
            if self.memory.is_empty() {
                return Ok(false);
            }
            self.memory.clear();
        }
    }

    /// Where to go: downhill, and along the ground as far as it is known.
    fn direction(&self) -> Vec<f32> {
        let free = self.free();
        let mut d: Vec<f32> = self.point.gradient.clone();
        keep(&free, &mut d);
        let mut factors = Vec::with_capacity(self.memory.len());
        for pair in self.memory.iter().rev() {
            let factor = dot(&pair.step, &d) / pair.curvature;
            add(&mut d, -factor, &pair.change);
            factors.push(factor);
        }
        let scale = match self.memory.back() {
            Some(pair) => pair.curvature / dot(&pair.change, &pair.change),
            None => f64::from(self.first_step / largest(&d).max(f32::MIN_POSITIVE)),
        };
        for d in &mut d {
            *d = (-scale * f64::from(*d)) as f32;
        }
        for (pair, factor) in self.memory.iter().zip(factors.into_iter().rev()) {
            let back = dot(&pair.change, &d) / pair.curvature;
            add(&mut d, -factor - back, &pair.step);
        }
        keep(&free, &mut d);
        d
    }

    /// Which numbers may move: not those that would leave the bounds.
    fn free(&self) -> Vec<bool> {
        let (low, high) = (*self.bounds.start(), *self.bounds.end());
        let numbers = self.point.x.iter().zip(&self.point.gradient);
        numbers
            .map(|(&x, &g)| !(x <= low && g > 0.0 || x >= high && g < 0.0))
            .collect()
    }

    /// The point a good way along `direction`, or none if all that were tried
    /// are higher.
    fn search(
        &self,
        direction: &[f32],
        function: &mut impl FnMut(&[f32]) -> Result<(V, Vec<f32>)>,
    ) -> Result<Option<Point<V>>> {
        let here: f64 = self.point.value.into();
        let slope = dot(&self.point.gradient, direction);
        if slope >= 0.0 || slope.is_nan() {
            return Ok(None);
        }
        let mut best = None;
        let (mut short, mut long) = (0.0, f64::INFINITY);
        let mut length = 1.0;
        for _ in 0..TRIALS {
            let (x, moving) = self.along(direction, length);
            let there = Point::at(x, &mut *function)?;
            if there.value.into() <= here + ARMIJO * length * slope {
                let slope_there = dot(&there.gradient, &moving);
                best = Some(there);
                if slope_there >= WOLFE * slope {
                    break;
                }
                short = length;
            } else {
                long = length;
            }
            length = match long.is_finite() {
                true => (short + long) / 2.0,
                false => 2.0 * length,
            };
        }
        Ok(best)
    }

    /// The numbers `length` along `direction`, stopped by the bounds, and the
    /// direction in which they are still moving there.
    fn along(&self, direction: &[f32], length: f64) -> (Vec<f32>, Vec<f32>) {
        let (low, high) = (*self.bounds.start(), *self.bounds.end());
        let numbers = self.point.x.iter().zip(direction);
        numbers
            .map(|(&x, &d)| {
                let free = (f64::from(x) + length * f64::from(d)) as f32;
                let stopped = free.clamp(low, high);
                (stopped, if free == stopped { d } else { 0.0 })
            })
            .unzip()
    }

    fn go_to(&mut self, next: Point<V>) {
        let step = difference(&next.x, &self.point.x);
        let change = difference(&next.gradient, &self.point.gradient);
        let curvature = dot(&step, &change);
        // Where the ground does not curve upwards nothing can be learned.
        if curvature > 1e-8 * (dot(&step, &step) * dot(&change, &change)).sqrt() {
            if self.memory.len() == MEMORY {
                self.memory.pop_front();
            }
            self.memory.push_back(Pair {
                step,
                change,
                curvature,
            });
        }
        self.point = next;
    }
}

impl<V> Point<V> {
    fn at(x: Vec<f32>, function: impl FnOnce(&[f32]) -> Result<(V, Vec<f32>)>) -> Result<Self> {
        let (value, gradient) = function(&x)?;
        ensure!(
            gradient.len() == x.len(),
            "a gradient of {} numbers for {}",
            gradient.len(),
            x.len()
        );
        Ok(Point { x, value, gradient })
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum()
}

/// Adds `factor` times `other` to `vector`.
fn add(vector: &mut [f32], factor: f64, other: &[f32]) {
    for (v, &o) in vector.iter_mut().zip(other) {
        *v = (f64::from(*v) + factor * f64::from(o)) as f32;
    }
}

/// Sets to 0 what is not free.
fn keep(free: &[bool], vector: &mut [f32]) {
    for (v, _) in vector.iter_mut().zip(free).filter(|(_, free)| !**free) {
        *v = 0.0;
    }
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn largest(vector: &[f32]) -> f32 {
    vector.iter().fold(0.0, |largest, v| largest.max(v.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    const EVERYWHERE: RangeInclusive<f32> = f32::MIN..=f32::MAX;

    type Value = Result<(f64, Vec<f32>)>;

    /// Chained Rosenbrock: a bent, narrow valley, 0 at (1, 1, ..., 1).
    fn rosenbrock(x: &[f32]) -> Value {
        let x: Vec<f64> = x.iter().map(|&x| x.into()).collect();
        let mut value = 0.0;
        let mut gradient = vec![0.0; x.len()];
        for i in 0..x.len() - 1 {
            let (across, along) = (x[i + 1] - x[i] * x[i], 1.0 - x[i]);
            value += 100.0 * across * across + along * along;
            gradient[i] -= 400.0 * across * x[i] + 2.0 * along;
            gradient[i + 1] += 200.0 * across;
        }
        Ok((value, gradient.iter().map(|&g| g as f32).collect()))
    }

    /// A long bowl: axis `i` is `10^i` times as steep as the first, and its
    /// bottom lies at `i - 1`.
    fn bowl(x: &[f32]) -> Value {
        let axes = x.iter().enumerate();
        let steps = axes.map(|(i, &x)| (10f64.powi(i as i32), f64::from(x) - (i as f64 - 1.0)));
        let steps: Vec<(f64, f64)> = steps.collect();
        let value = steps.iter().map(|(steep, x)| steep * x * x).sum();
        let gradient = steps.iter().map(|(steep, x)| (2.0 * steep * x) as f32);
        Ok((value, gradient.collect()))
    }

    /// Steps until the end, or `most`; none may go up.
    fn descend(search: &mut Lbfgs<f64>, function: fn(&[f32]) -> Value, most: usize) -> usize {
        for step in 0..most {
            let before = search.value();
            if !search.step(function).unwrap() {
                return step;
            }
            assert!(search.value() < before, "step {step} goes up");
        }
        most
    }

    fn assert_near(found: &[f32], expected: &[f32], tolerance: f32) {
        for (i, (f, e)) in found.iter().zip(expected).enumerate() {
            assert!((f - e).abs() <= tolerance, "{i}: {f}, expected {e}");
        }
    }

    #[test]
    fn finds_the_end_of_rosenbrocks_valley() {
        for (start, most) in [(vec![-1.2, 1.0], 60), ([-1.2, 1.0].repeat(5), 150)] {
            let ones = vec![1.0; start.len()];
            let mut search = Lbfgs::new(start, EVERYWHERE, 0.1, rosenbrock).unwrap();
            descend(&mut search, rosenbrock, most);
            assert_near(search.x(), &ones, 2e-3);
        }
    }

    #[test]
    fn finds_the_bottom_of_a_long_bowl() {
        let mut search = Lbfgs::new(vec![7.0; 5], EVERYWHERE, 1.0, bowl).unwrap();
        // Straight downhill would take thousands of steps.
        let steps = descend(&mut search, bowl, 60);
        assert!(steps < 60, "still moving");
        assert_near(search.x(), &[-1.0, 0.0, 1.0, 2.0, 3.0], 1e-3);
    }

    #[test]
    fn stays_within_bounds() {
        let function = |x: &[f32]| {
            assert!(x.iter().all(|x| (0.0..=2.5).contains(x)), "{x:?}");
            bowl(x)
        };
        let mut search = Lbfgs::new(vec![9.0; 5], 0.0..=2.5, 1.0, function).unwrap();
        descend(&mut search, bowl_within, 60);
        assert_near(search.x(), &[0.0, 0.0, 1.0, 2.0, 2.5], 1e-3);
    }

    fn bowl_within(x: &[f32]) -> Value {
        match x.iter().all(|x| (0.0..=2.5).contains(x)) {
            true => bowl(x),
            false => bail!("{x:?}"),
        }
    }

    #[test]
    fn copes_with_kinks() {
        // |x0| + 3 |x1 - 2|, with a bowl that is nothing beside it.
        let kinks = |x: &[f32]| -> Value {
            let (value, gradient) = bowl(x)?;
            let (a, b) = (x[0], x[1] - 2.0);
            let sharp = 100.0 * f64::from(a.abs() + 3.0 * b.abs());
            let slopes = [100.0 * a.signum(), 300.0 * b.signum()];
            let gradient = gradient.iter().zip(slopes).map(|(g, s)| g + s);
            Ok((value + sharp, gradient.collect()))
        };
        let mut search = Lbfgs::new(vec![30.0, -41.0], EVERYWHERE, 1.0, kinks).unwrap();
        for _ in 0..200 {
            search.step(kinks).unwrap();
        }
        assert_near(search.x(), &[0.0, 2.0], 0.05);
    }

    #[test]
    fn stops_at_the_minimum() {
        let mut search = Lbfgs::new(vec![-1.0, 0.0], EVERYWHERE, 1.0, bowl).unwrap();
        assert!(!search.step(bowl).unwrap());
        assert_eq!(search.x(), [-1.0, 0.0]);
        // Nor does a corner let it go, once it is there.
        let mut search = Lbfgs::new(vec![5.0, 5.0], 5.0..=9.0, 1.0, bowl).unwrap();
        assert!(!search.step(bowl).unwrap());
    }

    #[test]
    fn errors_leave_the_search_unchanged() {
        let mut search = Lbfgs::new(vec![-1.2, 1.0], EVERYWHERE, 0.1, rosenbrock).unwrap();
        descend(&mut search, rosenbrock, 3);
        let (x, value) = (search.x().to_vec(), search.value());
        let error = search.step(|_| bail!("no")).unwrap_err();
        assert_eq!(error.to_string(), "no");
        assert!(search.step(|_| Ok((0.0, vec![1.0]))).is_err());
        // What is not a number is no better than anything.
        assert!(!search.step(|x| Ok((f64::NAN, x.to_vec()))).unwrap());
        assert_eq!((search.x(), search.value()), (&x[..], value));
        assert!(Lbfgs::new(vec![0.0], EVERYWHERE, 1.0, |_| Ok((f64::NAN, vec![0.0]))).is_err());
    }
}
