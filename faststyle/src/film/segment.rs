//! A film's time in parts, each painted and encoded by itself.

use crate::cli::FilmArgs;
use gst::ClockTime;

/// A part of a film's time. Its encoding refers to no frame of another segment, so
/// that segments can be painted in any order, again, or elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its place among the film's segments, from 0.
    pub index: usize,
    /// The time of its first frame at the earliest.
    pub start: ClockTime,
    /// The time that none of its frames reaches.
    pub end: ClockTime,
}

impl Segment {
    /// Decoding begins here, before `start`: decoders cut the first frames after a
    /// seek, and what looks back in time can warm up.
    pub fn preroll(&self) -> ClockTime {
        self.start.saturating_sub(PREROLL)
    }
}

/// The time that is decoded before a segment.
const PREROLL: ClockTime = ClockTime::from_seconds(2);

/// How a film is cut into segments. The cuts depend on nothing that happens while
/// painting: a film that is resumed has the same ones.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Where the first segment begins.
    pub from: ClockTime,
    /// Where the last one ends, if that is not the film's end.
    pub to: Option<ClockTime>,
    /// The time that a segment takes. Not 0.
    pub length: ClockTime,
}

impl Plan {
    /// The cuts that the command line asks for.
    pub fn of(args: &FilmArgs) -> Self {
        Plan {
            from: args.from.unwrap_or_default(),
            to: args.to,
            length: args.segment,
        }
    }

    /// The segment number `index`, whether or not the film is so long.
    pub fn segment(&self, index: usize) -> Segment {
        let start = self.from + self.length * index as u64;
        let end = start + self.length;
        Segment {
            index,
            start,
            end: self.to.map_or(end, |to| end.min(to)),
        }
    }

    /// The number of the segment that a frame at this time is in.
    pub fn index(&self, time: ClockTime) -> u64 {
        time.saturating_sub(self.from).nseconds() / self.length.nseconds()
    }

    /// Whether a frame at this time is beyond the last segment.
    pub fn is_over(&self, time: ClockTime) -> bool {
        self.to.is_some_and(|to| time >= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_each_other() {
        let s = ClockTime::from_seconds;
        let plan = Plan {
            from: s(5),
            to: Some(s(27)),
            length: s(10),
        };
        let ranges = [0, 1, 2].map(|index| {
            let segment = plan.segment(index);
            (segment.start, segment.end, segment.preroll())
        });
        let expected = [(5, 15, 3), (15, 25, 13), (25, 27, 23)];
        assert_eq!(ranges, expected.map(|(a, b, c)| (s(a), s(b), s(c))));
        assert!(plan.is_over(s(27)) && !plan.is_over(s(26)));
    }
}
