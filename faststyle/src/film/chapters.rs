//! A film's chapters.

use super::segment::Plan;
use gst::{ClockTime, TocEntryType, TocScope};
use serde::{Deserialize, Serialize};

/// A chapter, in nanoseconds from the output's beginning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chapter {
    start: u64,
    end: Option<u64>,
    title: Option<String>,
}

/// The chapters of a table of contents that are in this part of the film, in order.
pub fn of(toc: &gst::TocRef, plan: Plan) -> Vec<Chapter> {
    let mut chapters = Vec::new();
    collect(toc.entries(), plan, &mut chapters);
    chapters.sort_by_key(|chapter| chapter.start);
    chapters
}

/// Adds chapters among the entries, and among those below them: editions hold chapters,
/// and chapters parts.
fn collect(entries: Vec<gst::TocEntry>, plan: Plan, chapters: &mut Vec<Chapter>) {
    for entry in entries {
        if entry.entry_type() == TocEntryType::Chapter {
            chapters.extend(chapter(&entry, plan));
        }
        collect(entry.sub_entries(), plan, chapters);
    }
}

fn chapter(entry: &gst::TocEntryRef, plan: Plan) -> Option<Chapter> {
    let (start, end) = entry.start_stop_times()?;
    let time = |time: i64| u64::try_from(time).ok().map(ClockTime::from_nseconds);
    let (start, end) = (
        time(start)?,
        time(end).filter(|&end| Some(end) > time(start)),
    );
    if plan.is_over(start) || end.is_some_and(|end| end <= plan.from) {
        return None;
    }
    let from_here = |time: ClockTime| time.saturating_sub(plan.from).nseconds();
    let end = end.map(|end| plan.to.map_or(end, |to| end.min(to)));
    let title = entry.tags().and_then(|tags| {
        let title = tags.get::<gst::tags::Title>()?;
        Some(title.get().to_owned())
    });
    Some(Chapter {
        start: from_here(start),
        end: end.map(from_here),
        title,
    })
}

/// The table of contents for a muxer, if there are chapters.
pub fn toc(chapters: &[Chapter]) -> Option<gst::Toc> {
    let last = chapters.last()?;
    let time = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    let mut edition = gst::TocEntry::new(TocEntryType::Edition, "1");
    let edition_mut = edition.make_mut();
    edition_mut.set_start_stop_times(0, time(last.end.unwrap_or(last.start)));
    let next = chapters.iter().skip(1).map(|next| Some(next.start));
    for (number, (chapter, next)) in (2..).zip(chapters.iter().zip(next.chain([None]))) {
        let mut entry = gst::TocEntry::new(TocEntryType::Chapter, &number.to_string());
        let entry_mut = entry.make_mut();
        let end = chapter.end.or(next).unwrap_or(chapter.start);
        entry_mut.set_start_stop_times(time(chapter.start), time(end));
        if let Some(title) = &chapter.title {
            let mut tags = gst::TagList::new();
            let merge = gst::TagMergeMode::Replace;
            tags.make_mut()
                .add::<gst::tags::Title>(&title.as_str(), merge);
            entry_mut.set_tags(tags);
        }
        edition_mut.append_sub_entry(entry);
    }
    let mut toc = gst::Toc::new(TocScope::Global);
    toc.make_mut().append_entry(edition);
    Some(toc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chapter(start: u64, end: Option<u64>, title: &str) -> Chapter {
        Chapter {
            start: start * 1_000_000_000,
            end: end.map(|end| end * 1_000_000_000),
            title: Some(title.into()),
        }
    }

    #[test]
    fn chapters_come_back() {
        gst::init().unwrap();
        let chapters = [chapter(0, Some(20), "Eins"), chapter(20, Some(50), "Zwei")];
        let plan = |from, to: Option<u64>| Plan {
            from: ClockTime::from_seconds(from),
            to: to.map(ClockTime::from_seconds),
            length: ClockTime::from_seconds(10),
        };
        let toc = toc(&chapters).unwrap();
        assert_eq!(of(&toc, plan(0, None)), chapters);
        // A part of the film.
        let part = [chapter(0, Some(5), "Eins"), chapter(5, Some(15), "Zwei")];
        assert_eq!(of(&toc, plan(15, Some(30))), part);
        assert_eq!(of(&toc, plan(20, None)), [chapter(0, Some(30), "Zwei")]);
        assert!(of(&toc, plan(50, None)).is_empty());
        assert!(super::toc(&[]).is_none());
    }
}
