//! The door to files and clocks: nothing else in the project opens either.
//!
//! Invariants: what is read has a limit; what is written is there whole or not at all; what a plan names never leads
//! out of its folder, not even through a link.

pub use capstan_report::sha256;
use flate2::read::MultiGzDecoder;
use jiff::civil::Date;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

/// Most bytes of a plan or catalog.
pub const TEXT_LIMIT: u64 = 16 * 1024 * 1024;

/// Most bytes of a blueprint, a trace or an operator table, unpacked.
pub const DATA_LIMIT: u64 = 512 * 1024 * 1024;

/// Most bytes of a line of a table that is read row by row.
const LINE_LIMIT: u64 = 16 * 1024 * 1024;

/// The plain files that this run read or wrote: an output never replaces one of them.
static TAKEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn take(path: &Path) {
    if let (Ok(real), Ok(mut taken)) = (fs::canonicalize(path), TAKEN.lock()) {
        taken.insert(real);
    }
}

/// Returns whether this run read or wrote a file.
pub fn taken(path: &str) -> bool {
    let real = fs::canonicalize(path);
    real.is_ok_and(|real| TAKEN.lock().is_ok_and(|taken| taken.contains(&real)))
}

/// Why a file cannot be read or written.
#[derive(Debug)]
pub enum FileError {
    /// There is none.
    Missing,
    /// A folder has that name.
    IsFolder,
    /// It is a pipe or a device, which might never end.
    NotPlain,
    /// The system does not allow it.
    Denied,
    /// It is longer than anything of its kind.
    TooLarge {
        /// The limit in bytes.
        most: u64,
    },
    /// It lies outside the folder that it must lie in.
    Outside,
    /// This run read it or wrote it: what it holds would be lost.
    Taken,
    /// A line of it is longer than any table has.
    LongLine,
    /// There is no room for it.
    Full,
    /// Something else.
    Other(io::Error),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Missing => f.write_str("there is no such file"),
            FileError::IsFolder => f.write_str("it is a folder"),
            FileError::NotPlain => f.write_str("it is no plain file"),
            FileError::Denied => f.write_str("permission is denied"),
            FileError::TooLarge { most } => write!(f, "it is longer than {} MiB", most >> 20),
            FileError::Outside => f.write_str("it lies outside the folder of the plan file"),
            FileError::Taken => f.write_str("this run reads or writes it already"),
            FileError::LongLine => write!(f, "a line is longer than {} MiB", LINE_LIMIT >> 20),
            FileError::Full => f.write_str("the disk is full, or a limit on its use is reached"),
            FileError::Other(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FileError {}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::Missing,
            io::ErrorKind::IsADirectory => FileError::IsFolder,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => FileError::Denied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                FileError::Full
            }
            _ => FileError::Other(error),
        }
    }
}

/// Where files come from.
pub trait Files {
    /// Returns the bytes of a file, of which there may be at most `most`.
    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, FileError>;
}

/// Files as the user names them, from where the program runs.
#[derive(Clone, Copy, Debug)]
pub struct Here;

impl Files for Here {
    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, FileError> {
        limited(open(Path::new(path))?, most)
    }
}

/// The files of a revision of a repository, by their paths in the folder where the program runs.
#[derive(Clone, Debug)]
pub struct Revision(pub String);

impl Files for Revision {
    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, FileError> {
        let path = Path::new(path);
        let name = path.file_name().ok_or(FileError::IsFolder)?.to_string_lossy();
        committed(parent(path), &self.0, &name, most)
    }
}

/// Returns a file as a revision has it, by the program git; nothing is checked out.
fn committed(folder: &Path, revision: &str, path: &str, most: u64) -> Result<Vec<u8>, FileError> {
    if revision.is_empty() || revision.starts_with('-') {
        return Err(FileError::Other(io::Error::other(format!("`{revision}` is no revision"))));
    }
    let mut git = std::process::Command::new("git");
    git.arg("-C").arg(folder).args(["cat-file", "blob", &format!("{revision}:./{path}")]);
    let done = git.output().map_err(|error| {
        FileError::Other(io::Error::other(format!("the program git does not start: {error}")))
    })?;
    if done.status.success() {
        return limited(&done.stdout[..], most);
    }
    let said = String::from_utf8_lossy(&done.stderr);
    if said.contains("does not exist in") || said.contains("exists on disk, but not in") {
        return Err(FileError::Missing);
    }
    let first = said.lines().next().unwrap_or("it says nothing").to_owned();
    Err(FileError::Other(io::Error::other(format!("git: {first}"))))
}

/// The files in and below one folder: what a plan may name.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    revision: Option<String>,
}

impl Folder {
    /// The folder in which a file lies.
    pub fn of(file: &str) -> Self {
        let parent = Path::new(file).parent().filter(|parent| !parent.as_os_str().is_empty());
        Folder { root: parent.unwrap_or(Path::new(".")).to_owned(), revision: None }
    }

    /// The same as a revision of its repository has it.
    pub fn at(file: &str, revision: Option<&str>) -> Self {
        Folder { revision: revision.map(str::to_owned), ..Folder::of(file) }
    }

    /// Returns how a file is named from the folder: the opposite of [`Folder::shown`]; as given where it lies elsewhere.
    pub fn inside(&self, shown: &str) -> String {
        let inner = Path::new(shown).strip_prefix(&self.root).ok();
        inner.map_or_else(|| shown.to_owned(), |inner| inner.display().to_string())
    }

    /// Returns how a file in it is named from where the program runs.
    pub fn shown(&self, path: &str) -> String {
        if self.root == Path::new(".") { path.to_owned() } else { self.root.join(path).display().to_string() }
    }
}

impl Files for Folder {
    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, FileError> {
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(path).components().all(inside) {
            return Err(FileError::Outside);
        }
        if let Some(revision) = &self.revision {
            return committed(&self.root, revision, path, most);
        }
        let (root, real) = (fs::canonicalize(&self.root)?, fs::canonicalize(self.root.join(path))?);
        if !real.starts_with(root) {
            return Err(FileError::Outside);
        }
        let known = fs::metadata(&real)?;
        if !known.is_file() && !known.is_dir() {
            return Err(FileError::NotPlain);
        }
        limited(open(&real)?, most)
    }
}

fn open(path: &Path) -> Result<File, FileError> {
    let file = File::open(path)?;
    let known = file.metadata()?;
    if known.is_dir() {
        return Err(FileError::IsFolder);
    }
    if known.is_file() {
        take(path);
    }
    Ok(file)
}

fn limited(from: impl Read, most: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(FileError::TooLarge { most }) } else { Ok(bytes) }
}

/// Returns the bytes of a file, or with `-` of standard input, one after the other: for tables of any length.
pub fn stream(path: &str) -> Result<Box<dyn Read>, FileError> {
    if path == "-" {
        return Ok(Box::new(Rows { inner: io::stdin().lock(), since: 0 }));
    }
    Ok(Box::new(Rows { inner: open(Path::new(path))?, since: 0 }))
}

/// Bytes of a table of any length whose lines are not: what never ends a line is given up, not kept.
struct Rows<R> {
    inner: R,
    since: u64,
}

impl<R: Read> Read for Rows<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let last = buffer[..count].iter().rposition(|&byte| byte == b'\n');
        self.since = last.map_or(self.since + count as u64, |at| (count - at - 1) as u64);
        if self.since > LINE_LIMIT { Err(io::Error::other(FileError::LongLine)) } else { Ok(count) }
    }
}

/// Returns what stands on standard input.
pub fn stdin(most: u64) -> Result<Vec<u8>, FileError> {
    limited(io::stdin().lock(), most)
}

/// Returns the bytes of a file that may be packed with gzip, unpacked.
pub fn unpacked(bytes: Vec<u8>, most: u64) -> Result<Vec<u8>, FileError> {
    if bytes.starts_with(&[0x1f, 0x8b]) { limited(MultiGzDecoder::new(&bytes[..]), most) } else { Ok(bytes) }
}

/// Adds to the end of a file, which is made where there is none: for files that others began.
pub fn append(path: &str, bytes: &[u8]) -> Result<(), FileError> {
    Ok(fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(bytes)?)
}

/// Returns the path of a file from the root of its repository, with `/` between its parts; from where the program runs
/// where there is no repository, and as given where it lies elsewhere.
pub fn in_repository(path: &str) -> String {
    let given = path.strip_prefix("./").unwrap_or(path);
    let Ok(real) = fs::canonicalize(path) else { return given.replace('\\', "/") };
    let repository = real.ancestors().skip(1).find(|folder| folder.join(".git").exists()).map(Path::to_owned);
    let root = repository.or_else(|| fs::canonicalize(".").ok());
    let inside = root.and_then(|root| real.strip_prefix(root).ok().map(Path::to_owned));
    inside.map_or_else(|| given.to_owned(), |path| path.display().to_string()).replace('\\', "/")
}

/// Returns whether two paths name the same file, also where it does not exist yet.
pub fn same(a: &str, b: &str) -> bool {
    let real = |path: &str| fs::canonicalize(path).unwrap_or_else(|_| Path::new(path).to_owned());
    real(a) == real(b)
}

/// Says now whether a file could be written, before anything is computed for it.
pub fn room_for(path: &str) -> Result<(), FileError> {
    match fs::metadata(path) {
        Ok(known) if known.is_dir() => Err(FileError::IsFolder),
        Ok(known) if !known.is_file() => Ok(()),
        Ok(known) if known.permissions().readonly() => Err(FileError::Denied),
        _ => {
            let target = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
            new_file_in(parent(&target)).map(drop)
        }
    }
}

/// Writes a file so that it is there whole or as it was before, but none that this run read or wrote. What is no regular
/// file is written through.
pub fn write(path: &str, bytes: &[u8]) -> Result<(), FileError> {
    write_together(&[(path.to_owned(), bytes)]).map_err(|(_, error)| error)
}

/// The same of files that belong together: none is replaced before there is room for all. Names the one that cannot be.
pub fn write_together(files: &[(String, &[u8])]) -> Result<(), (String, FileError)> {
    let mut all = Vec::new();
    for (path, bytes) in files {
        let staged = if taken(path) { Err(FileError::Taken) } else { staged(path, bytes) };
        all.push((path, staged.map_err(|error| (path.clone(), error))?));
    }
    for (path, staged) in all {
        staged.map_or(Ok(()), put).map_err(|error| (path.clone(), error))?;
        take(Path::new(path));
    }
    Ok(())
}

/// The same of a file that was read in order to be written again.
pub fn replace(path: &str, bytes: &[u8]) -> Result<(), FileError> {
    staged(path, bytes)?.map_or(Ok(()), put)
}

/// A file that is written whole, and where it belongs.
type Staged = (tempfile::NamedTempFile, PathBuf);

/// Writes a file beside where it belongs; what is no regular file is written through, and nothing is left to do.
fn staged(path: &str, bytes: &[u8]) -> Result<Option<Staged>, FileError> {
    let given = Path::new(path);
    let target = fs::canonicalize(given).unwrap_or_else(|_| given.to_owned());
    match fs::metadata(&target) {
        Ok(known) if known.is_dir() => return Err(FileError::IsFolder),
        Ok(known) if !known.is_file() => {
            fs::OpenOptions::new().write(true).open(&target)?.write_all(bytes)?;
            return Ok(None);
        }
        Ok(known) if known.permissions().readonly() => return Err(FileError::Denied),
        _ => {}
    }
    let mut beside = new_file_in(parent(&target))?;
    beside.write_all(bytes)?;
    if let Ok(known) = fs::metadata(&target) {
        beside.as_file().set_permissions(known.permissions())?;
    }
    beside.as_file().sync_all()?;
    Ok(Some((beside, target)))
}

fn put((beside, target): Staged) -> Result<(), FileError> {
    Ok(beside.persist(&target).map(drop).map_err(|error| error.error)?)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens a file without a name yet, readable as the user's other files are.
fn new_file_in(folder: &Path) -> Result<tempfile::NamedTempFile, FileError> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    let readable = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(readable);
    // The library tells the name that it tried, which means nothing to the reader.
    builder.prefix(".capstan-").tempfile_in(folder).map_err(|error| io::Error::from(error.kind()).into())
}

/// Writes a file that must not be there yet.
pub fn write_new(path: &str, bytes: &[u8]) -> Result<bool, FileError> {
    match fs::symlink_metadata(path) {
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let mut beside = new_file_in(parent(Path::new(path)))?;
    beside.write_all(bytes)?;
    match beside.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(refused) => Err(refused.error.into()),
    }
}

/// Returns the paths of all files in and below a folder, in order; links are not followed.
pub fn listed(folder: &str) -> Result<Vec<String>, FileError> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path().display().to_string());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Returns every file in and below a folder by its path within it; none where there is no such folder.
pub fn folder(path: &str) -> Result<Vec<(String, Vec<u8>)>, FileError> {
    let root = Path::new(path);
    if fs::symlink_metadata(root).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    walk(root, root, &mut files)?;
    files.sort();
    Ok(files)
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) -> Result<(), FileError> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(root, &entry.path(), files)?;
        } else {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            files.push((name, limited(open(&path)?, DATA_LIMIT)?));
        }
    }
    Ok(())
}

/// Writes a folder so that it is there whole or as it was before; what it held before is gone.
pub fn write_folder(path: &str, files: &[(String, Vec<u8>)]) -> Result<(), FileError> {
    let target = Path::new(path);
    fs::create_dir_all(parent(target))?;
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    let readable = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o777);
    #[cfg(unix)]
    builder.permissions(readable);
    let beside = builder.prefix(".capstan-").tempdir_in(parent(target))?;
    for (name, bytes) in files {
        let file = beside.path().join(name);
        fs::create_dir_all(parent(&file))?;
        fs::write(file, bytes)?;
    }
    if !target.exists() {
        fs::rename(beside.path(), target)?;
        let _ = beside.keep();
        return Ok(());
    }
    let before = tempfile::Builder::new().prefix(".capstan-").tempdir_in(parent(target))?;
    let aside = before.path().join("before");
    fs::rename(target, &aside)?;
    if let Err(error) = fs::rename(beside.path(), target) {
        fs::rename(&aside, target)?;
        return Err(error.into());
    }
    let _ = beside.keep();
    Ok(())
}

/// Returns the day: the given seconds since 1970 if any, else by the clock of the machine, in UTC.
pub fn today(seconds: Option<i64>) -> Date {
    let clock = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
    };
    let days = seconds.unwrap_or_else(clock).div_euclid(86_400);
    let start = Date::constant(1970, 1, 1);
    jiff::Span::new().try_days(days).and_then(|days| start.checked_add(days)).unwrap_or(start)
}

/// Returns the most memory that the program had so far, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns the text of a small file of the system, such as those in `/proc`; none where it has none.
pub fn system(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Returns what a link names, such as the namespace of a process.
pub fn link(path: &str) -> Option<String> {
    fs::read_link(path).ok().map(|target| target.display().to_string())
}

/// Returns what tells this build of the program from others: length and time of its file.
pub fn own_stamp() -> Option<String> {
    let known = fs::metadata(std::env::current_exe().ok()?).ok()?;
    let since = known.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(format!("{} {}", known.len(), since.as_nanos()))
}

/// Removes the oldest files of a folder, so that `most` are left.
pub fn keep_newest(folder: &str, most: usize) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut files: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    let old = files.len().saturating_sub(most);
    // That a file of a cache cannot be removed harms nobody.
    files.drain(..old).for_each(|(_, path)| drop(fs::remove_file(path)));
}

/// Makes a folder and those above it where they do not exist.
pub fn make_folder(path: &str) -> Result<(), FileError> {
    Ok(fs::create_dir_all(path)?)
}
