//! A grey JPEG of any size.

/// All of one grey: six bits for each 8 x 8 pixels.
#[must_use]
pub fn grey(width: u16, height: u16) -> Vec<u8> {
    let mut out = vec![0xff, 0xd8];
    let mut segment = |marker: u8, body: &[u8]| {
        out.extend_from_slice(&[0xff, marker]);
        out.extend_from_slice(&u16::try_from(body.len() + 2).unwrap().to_be_bytes());
        out.extend_from_slice(body);
    };
    segment(0xdb, &[&[0][..], &[1; 64]].concat());
    let (w, h) = (width.to_be_bytes(), height.to_be_bytes());
    segment(0xc0, &[8, h[0], h[1], w[0], w[1], 1, 1, 0x11, 0]);
    // One code of one bit in each table: "no difference" and "end of block", which are 0 each.
    let one_code = |class: u8| [&[class, 1][..], &[0; 15], &[0]].concat();
    segment(0xc4, &one_code(0x00));
    segment(0xc4, &one_code(0x10));
    segment(0xda, &[1, 1, 0, 0, 63, 0]);
    let blocks = u64::from(width).div_ceil(8) * u64::from(height).div_ceil(8);
    let bytes = usize::try_from((blocks * 2).div_ceil(8)).unwrap();
    out.resize(out.len() + bytes, 0);
    out.extend_from_slice(&[0xff, 0xd9]);
    out
}
