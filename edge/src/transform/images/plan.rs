//! Which part of an image becomes how large: pure arithmetic.

use sluice_wire::ImageVariant;
use sluice_wire::image::Fit;

/// What is to be done with an image's pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    /// Left, top, width and height of the part that is used, in the image's pixels.
    pub(super) part: (f64, f64, f64, f64),
    /// Width and height it becomes.
    pub(super) size: (u32, u32),
    /// Width and height of the picture it is put into the middle of, when that is another.
    pub(super) canvas: Option<(u32, u32)>,
}

impl Plan {
    /// Plans a variant of an image of this width and height.
    pub(super) fn of((width, height): (u32, u32), variant: &ImageVariant) -> Self {
        let (w, h) = (f64::from(width), f64::from(height));
        let all = (0.0, 0.0, w, h);
        // A side that is not asked for bounds nothing.
        let side = |asked: Option<u32>| asked.map_or(f64::INFINITY, f64::from);
        let (box_w, box_h) = (side(variant.width), side(variant.height));
        let scale = (box_w / w).min(box_h / h).min(1.0);
        let within = (pixels(w * scale), pixels(h * scale));
        match (variant.fit, variant.width.zip(variant.height)) {
            (Fit::Cover, Some(_)) => {
                let (part_w, part_h) = (w.min(h * box_w / box_h), h.min(w * box_h / box_w));
                let scale = (w / box_w).min(h / box_h).min(1.0);
                Self {
                    part: ((w - part_w) / 2.0, (h - part_h) / 2.0, part_w, part_h),
                    size: (pixels(box_w * scale), pixels(box_h * scale)),
                    canvas: None,
                }
            }
            (Fit::Contain, canvas) => {
                Self { part: all, size: within, canvas: canvas.filter(|canvas| *canvas != within) }
            }
            _ => Self { part: all, size: within, canvas: None },
        }
    }

    /// The same for the image before it is turned by a quarter.
    pub(super) fn turned(self) -> Self {
        let (left, top, width, height) = self.part;
        Self { part: (top, left, height, width), size: (self.size.1, self.size.0), canvas: self.canvas }
    }

    /// Pixels of the picture.
    pub(super) fn pixels(&self) -> u64 {
        let (width, height) = self.canvas.unwrap_or(self.size);
        u64::from(width) * u64::from(height)
    }
}

/// Whole pixels, at least one.
fn pixels(side: f64) -> u32 {
    side.round().max(1.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(of: (u32, u32), query: &str) -> Plan {
        Plan::of(of, &ImageVariant::parse(query).unwrap().0)
    }

    #[test]
    fn each_fit_has_its_size() {
        for (of, query, size, canvas) in [
            ((4000, 3000), "w=400", (400, 300), None),
            ((4000, 3000), "h=300", (400, 300), None),
            ((4000, 3000), "w=400&h=400", (400, 300), None),
            ((4000, 3000), "w=400&h=400&fit=contain", (400, 300), Some((400, 400))),
            ((4000, 3000), "w=400&h=400&fit=cover", (400, 400), None),
            ((100, 100), "w=400", (100, 100), None),
            ((100, 100), "w=400&h=200&fit=cover", (100, 50), None),
            ((100, 100), "w=400&h=200&fit=contain", (100, 100), Some((400, 200))),
            ((8000, 2), "w=40", (40, 1), None),
            ((640, 480), "fmt=webp", (640, 480), None),
        ] {
            let plan = plan(of, query);
            assert_eq!((plan.size, plan.canvas), (size, canvas), "{of:?} {query}");
        }
        assert_eq!(plan((4000, 3000), "w=400&h=400&fit=cover").part, (500.0, 0.0, 3000.0, 3000.0));
    }

    proptest! {
        #[test]
        fn the_part_lies_within_the_image_and_nothing_grows(
            of in (1u32..10_000, 1u32..10_000),
            w in 1u32..4_000,
            h in 1u32..4_000,
            fit in prop::sample::select(vec!["inside", "contain", "cover"]),
        ) {
            let plan = plan(of, &format!("w={w}&h={h}&fit={fit}"));
            let (left, top, width, height) = plan.part;
            prop_assert!(left >= 0.0 && top >= 0.0 && width > 0.0 && height > 0.0);
            prop_assert!(left + width <= f64::from(of.0) + 1e-6 && top + height <= f64::from(of.1) + 1e-6);
            prop_assert!(plan.size.0 <= w.min(of.0).max(1) && plan.size.1 <= h.min(of.1).max(1), "{:?}", plan);
            prop_assert!(plan.size.0 >= 1 && plan.size.1 >= 1);
            prop_assert_eq!(plan.turned().turned(), plan);
        }
    }
}
