//! Pictures by a writer and a reader of another make: Pillow.

use crate::programs::printed;
use crate::python::python;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Pillow, and a decoder of blurs.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| python(&["Pillow==13.0.0", "blurhash==1.1.5"]));

/// A photograph as a telephone has it: red on the left and blue on the right, and what it writes beside that. It is to be
/// turned by a quarter, which makes red the top, and it tells the place it was taken at.
const TELEPHONE: &str = "
import sys
from PIL import Image, ImageCms, PngImagePlugin
wide = Image.new('RGB', (800, 600), (200, 30, 30))
wide.paste((30, 30, 200), (400, 0, 800, 600))
exif = Image.Exif()
exif[0x0112] = 6
exif[0x010f] = 'a telephone'
exif.get_ifd(0x8825).update({1: 'N', 2: (52.0, 30.0, 0.0), 3: 'E', 4: (13.0, 24.0, 0.0)})
";

/// What names a pixel's colour in a script.
pub const HUE: &str = "
hue = lambda p: 'red' if p[0] > p[2] + 60 else 'blue' if p[2] > p[0] + 60 else 'other'
";

const LOOK: &str = "
import sys
from PIL import Image
image = Image.open(sys.argv[1])
image.load()
w, h = image.size
rgb = image.convert('RGB')
beside = sorted(set(image.info) & {'exif', 'xmp', 'icc_profile', 'comment', 'photoshop', 'Location', 'XML:com.adobe.xmp'})
print(image.format, w, h, len(image.getexif()), beside, hue(rgb.getpixel((w // 2, h // 10))), hue(rgb.getpixel((w // 2, h - 1 - h // 10))))
";

/// Takes a photograph: a script saves `wide`, and `exif` with it, to `sys.argv[1]`.
pub fn photograph(file: &Path, save: &str) {
    run(&format!("{TELEPHONE}{save}"), &file.display().to_string());
}

/// Format, width, height, how many fields of Exif there are, what is there beside the pixels, and the colours near the top and
/// near the bottom: `JPEG 600 800 0 [] red blue`. The picture is put into a folder.
#[must_use]
pub fn look(folder: &Path, picture: &[u8]) -> String {
    let file = folder.join("seen");
    std::fs::write(&file, picture).unwrap();
    run(&format!("{HUE}{LOOK}"), &file.display().to_string())
}

/// What a script with one argument prints.
pub fn run(script: &str, argument: &str) -> String {
    let output = Command::new(&*PYTHON).args(["-c", script, argument]).output().unwrap();
    printed("Pillow", &output).trim().to_owned()
}
