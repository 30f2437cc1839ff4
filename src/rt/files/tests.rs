//! The files against a real folder: what must not be opened, what must not be lost, and how many are open.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::thread;
use std::{fs, process};

use super::*;

fn at(path: &str) -> Vec<String> {
    path.split('/').map(String::from).collect()
}

fn room() -> (tempfile::TempDir, Arc<Folder>, Arc<FilePool>) {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::open(&temp.path().join("down/loads")).unwrap();
    (temp, folder, FilePool::new(4))
}

fn write(file: &PooledFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
    file.write_at(offset, &mut [IoSlice::new(bytes)])
}

fn read(file: &PooledFile, offset: u64, length: usize) -> Result<Vec<u8>, DiskError> {
    let mut bytes = vec![0; length];
    file.read_at(offset, &mut [IoSliceMut::new(&mut bytes)])?;
    Ok(bytes)
}

fn fault<T: std::fmt::Debug>(result: Result<T, DiskError>) -> DiskFault {
    result.unwrap_err().fault
}

#[test]
fn what_is_written_is_read_back_across_buffers() {
    let (_temp, folder, pool) = room();
    let file = pool.file(&folder, at("a/b/c.bin"));
    file.write_at(3, &mut [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"two")]).unwrap();
    let (mut a, mut b) = ([0; 4], [0; 5]);
    file.read_at(0, &mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut []), IoSliceMut::new(&mut b)]).unwrap();
    assert_eq!((&a, &b), (b"\0\0\0o", b"netwo"));
    assert_eq!(file.length().unwrap(), Some(9));
    assert_eq!(fs::read(folder.path().join("a/b/c.bin")).unwrap(), b"\0\0\0onetwo");
}

#[test]
fn more_buffers_than_one_call_takes_are_all_used() {
    let (_temp, folder, pool) = room();
    let file = pool.file(&folder, at("many"));
    let bytes: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
    file.write_at(0, &mut bytes.chunks(1).map(IoSlice::new).collect::<Vec<_>>()).unwrap();
    let mut back = vec![0; bytes.len()];
    file.read_at(0, &mut back.chunks_mut(1).map(IoSliceMut::new).collect::<Vec<_>>()).unwrap();
    assert!(back == bytes);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let (temp, folder, pool) = room();
    for path in ["..", ".", "", "../x", "a/../../x", "a//b", "a\0b"] {
        assert_eq!(fault(write(&pool.file(&folder, at(path)), 0, b"x")), DiskFault::BadName, "{path:?}");
    }
    let slash = vec![String::from("a/b")];
    assert_eq!(fault(folder.create_folder(&slash)), DiskFault::BadName);
    assert_eq!(fault(folder.replace_whole(&[], b"x")), DiskFault::BadName);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
}

#[test]
fn links_are_not_followed_for_files_or_folders() {
    let (temp, folder, pool) = room();
    let outside = temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), b"secret").unwrap();
    symlink(&outside, folder.path().join("folder")).unwrap();
    symlink(outside.join("secret"), folder.path().join("file")).unwrap();
    symlink(outside.join("new"), folder.path().join("dangling")).unwrap();
    for path in ["folder/secret", "folder/new", "file", "dangling"] {
        let file = pool.file(&folder, at(path));
        assert_eq!(fault(write(&file, 0, b"x")), DiskFault::Symlink, "{path}");
        assert_eq!(fault(read(&file, 0, 1)), DiskFault::Symlink, "{path}");
        assert_eq!(fault(file.length()), DiskFault::Symlink, "{path}");
        assert_eq!(fault(folder.read_whole(&at(path), 9)), DiskFault::Symlink, "{path}");
    }
    assert_eq!(fault(folder.create_folder(&at("folder/sub"))), DiskFault::Symlink);
    folder.replace_whole(&at("file"), b"mine").unwrap();
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn what_is_in_the_way_is_named_and_a_pipe_does_not_hang() {
    let (_temp, folder, pool) = room();
    fs::create_dir(folder.path().join("dir")).unwrap();
    fs::write(folder.path().join("plain"), b"").unwrap();
    assert!(process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    for path in ["dir", "pipe"] {
        assert_eq!(fault(write(&pool.file(&folder, at(path)), 0, b"x")), DiskFault::NotAFile, "{path}");
        assert_eq!(fault(read(&pool.file(&folder, at(path)), 0, 1)), DiskFault::NotAFile, "{path}");
    }
    assert_eq!(fault(write(&pool.file(&folder, at("plain/x")), 0, b"x")), DiskFault::NotADirectory);
    assert_eq!(fault(folder.create_folder(&at("plain"))), DiskFault::NotADirectory);
    assert_eq!(fault(Folder::open(&folder.path().join("plain"))), DiskFault::NotADirectory);
    let long = vec!["x".repeat(300)];
    assert_eq!(fault(pool.file(&folder, long).create()), DiskFault::NameTooLong);
}

#[test]
fn what_may_be_written_is_known_before_and_nothing_is_made_by_asking() {
    use fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    let (_temp, folder, pool) = room();
    for (name, rights) in [("open", 0o755), ("closed", 0o555)] {
        fs::create_dir(folder.path().join(name)).unwrap();
        set_permissions(folder.path().join(name), Permissions::from_mode(rights)).unwrap();
        let asked = folder.check_writable(&at(&format!("{name}/sub/x")));
        assert!(!folder.path().join(name).join("sub").exists());
        // Root may write everywhere; whoever runs this, the answer is what happens then.
        let wrote = write(&pool.file(&folder, at(&format!("{name}/sub/x"))), 0, b"x");
        assert_eq!(asked.is_ok(), wrote.is_ok(), "{name}: {asked:?}, {wrote:?}");
    }
    fs::write(folder.path().join("plain"), b"").unwrap();
    assert_eq!(fault(folder.check_writable(&at("plain/x"))), DiskFault::NotADirectory);
    set_permissions(folder.path().join("closed"), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn reading_makes_nothing_and_says_what_is_missing() {
    let (_temp, folder, pool) = room();
    let file = pool.file(&folder, at("new/file"));
    assert_eq!(file.length().unwrap(), None);
    assert_eq!(fault(read(&file, 0, 1)), DiskFault::Missing);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    file.create().unwrap();
    assert_eq!(file.length().unwrap(), Some(0));
    assert_eq!(fault(read(&file, 0, 1)), DiskFault::Short);
}

#[test]
fn eight_threads_share_four_descriptors_and_lose_nothing() {
    let (_temp, folder, pool) = room();
    let files: Vec<_> = (0..40).map(|n| pool.file(&folder, at(&format!("d{}/f{n}", n % 3)))).collect();
    thread::scope(|scope| {
        for worker in 0..8u8 {
            let files = &files;
            scope.spawn(move || {
                for round in 0..20 {
                    for (n, file) in files.iter().enumerate() {
                        let offset = u64::from(worker) * 1000 + round * 50;
                        write(file, offset, &[worker ^ n as u8; 50]).unwrap();
                        assert_eq!(read(file, offset, 50).unwrap(), [worker ^ n as u8; 50]);
                    }
                }
            });
        }
    });
    assert!(pool.open_files() <= 4, "{} open", pool.open_files());
    for (n, file) in files.iter().enumerate() {
        let whole = read(file, 0, 8000).unwrap();
        assert!(whole.chunks(1000).zip(0u8..).all(|(part, worker)| part.iter().all(|byte| *byte == worker ^ n as u8)));
    }
    drop(files);
    assert_eq!(pool.open_files(), 0);
}

#[test]
fn the_file_used_longest_ago_is_the_one_that_is_closed() {
    let (_temp, folder, pool) = room();
    let files: Vec<_> = (0..5).map(|n| pool.file(&folder, at(&format!("{n}")))).collect();
    for file in &files[..4] {
        file.create().unwrap();
    }
    read(&files[0], 0, 0).unwrap();
    files[4].create().unwrap();
    assert_eq!(pool.open_files(), 4);
    files[1].close();
    assert_eq!(pool.open_files(), 4, "file 1 was closed before, as the one used longest ago");
    files[0].close();
    assert_eq!(pool.open_files(), 3);
}

#[test]
fn a_file_that_was_deleted_is_not_made_anew_in_silence() {
    let (_temp, folder, pool) = room();
    let (open, closed) = (pool.file(&folder, at("open")), pool.file(&folder, at("closed")));
    for file in [&open, &closed] {
        write(file, 0, b"content").unwrap();
    }
    closed.close();
    for file in [&open, &closed] {
        fs::remove_file(file.path()).unwrap();
        let error = write(file, 7, b"more").unwrap_err();
        assert_eq!(error.fault, DiskFault::Vanished);
        assert!(error.content_lost() && !error.is_refusal());
        assert_eq!(file.length().unwrap(), None);
        write(file, 7, b"more").unwrap();
        assert_eq!(file.length().unwrap(), Some(11));
    }
}

#[test]
fn a_file_that_was_replaced_or_shortened_is_noticed_once() {
    let (_temp, folder, pool) = room();
    let file = pool.file(&folder, at("file"));
    write(&file, 0, b"content").unwrap();
    file.close();
    fs::write(folder.path().join("other"), b"another").unwrap();
    fs::rename(folder.path().join("other"), file.path()).unwrap();
    assert_eq!(fault(read(&file, 0, 7)), DiskFault::Vanished);
    assert_eq!(read(&file, 0, 7).unwrap(), b"another");
    file.close();
    // Another number, and otherwise as it was long ago: some file systems do that.
    for path in ["file", "other"].map(|name| folder.path().join(name)) {
        fs::write(&path, b"another").unwrap();
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1 << 30);
        fs::OpenOptions::new().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    read(&file, 0, 7).unwrap();
    file.close();
    fs::rename(folder.path().join("other"), file.path()).unwrap();
    assert_eq!(read(&file, 0, 7).unwrap(), b"another");

    write(&file, 7, b"end").unwrap();
    fs::OpenOptions::new().write(true).open(file.path()).unwrap().set_len(5).unwrap();
    assert_eq!(fault(write(&file, 10, b"x")), DiskFault::Short);
    write(&file, 10, b"x").unwrap();
}

#[test]
fn holes_are_found_where_the_file_system_knows_them() {
    let (_temp, folder, pool) = room();
    let file = pool.file(&folder, at("sparse"));
    file.set_len(64 << 20).unwrap();
    write(&file, 32 << 20, &[1; 4096]).unwrap();
    file.sync().unwrap();
    let data = file.next_data(0).unwrap().unwrap();
    assert!([0, 32 << 20].contains(&data.start) && data.end >= (32 << 20) + 4096, "{data:?}");
    assert_eq!(file.next_data(64 << 20).unwrap(), None);
    assert_eq!(read(&file, (32 << 20) - 1, 2).unwrap(), [0, 1]);
}

#[test]
fn a_walk_sees_what_one_look_after_the_other_sees() {
    let (temp, folder, _pool) = room();
    let root = folder.path();
    fs::create_dir_all(root.join("a/b")).unwrap();
    for name in ["x", "a/x", "a/b/x"] {
        fs::write(root.join(name), name).unwrap();
    }
    symlink(temp.path(), root.join("out")).unwrap();
    fs::create_dir(root.join("shut")).unwrap();
    fs::set_permissions(root.join("shut"), fs::Permissions::from_mode(0o555)).unwrap();
    let mut walk = folder.walk();
    let names = "a/b/x a/b/y a/x x a/none/x a/none/deeper/x a/none b/x a/b a/x/y out/x shut/x shut/y a/../x / a/b/x y";
    for path in names.split(' ').map(at) {
        let found = walk.find(&path);
        assert_eq!(found, folder.find(&path), "{path:?}");
        if found == Ok(None) {
            assert_eq!(walk.check_makeable(&path), folder.check_writable(&path), "{path:?}");
        }
    }
}

#[test]
fn a_file_that_is_renamed_stays_the_same_to_who_has_it_open_and_to_who_opens_it_again() {
    let (_temp, folder, pool) = room();
    let file = pool.file(&folder, at("d/x"));
    let find = || file.find_name(&mut folder.walk(), |_| at("d/x.part"), NewName::Part).unwrap();
    assert_eq!(find(), (None, Standing::AsLeft));
    write(&file, 0, b"one").unwrap();
    assert_eq!(fs::read(folder.path().join("d/x.part")).unwrap(), b"one");
    file.take_own_name().unwrap();
    file.take_own_name().unwrap();
    write(&file, 3, b"two").unwrap();
    file.close();
    write(&file, 6, b"three").unwrap();
    file.sync_written().unwrap();
    assert_eq!(fs::read(folder.path().join("d/x")).unwrap(), b"onetwothree");
    assert_eq!((find().0.unwrap().length(), find().1), (11, Standing::AsLeft));
    file.take_part_name(|_| at("d/x.part")).unwrap();
    assert_eq!(read(&file, 3, 3).unwrap(), b"two");
    assert!(file.is_at(&folder.path().join("d/x")) && file.is_at(&folder.path().join("d/x.part")));
    assert_eq!(fs::read_dir(folder.path().join("d")).unwrap().count(), 1);
}

#[test]
fn many_threads_write_while_a_file_changes_its_name() {
    let (_temp, folder, pool) = room();
    let file = pool.file(&folder, at("x"));
    file.find_name(&mut folder.walk(), |_| at("x.part"), NewName::Part).unwrap();
    write(&file, 0, b"x").unwrap();
    thread::scope(|scope| {
        for worker in 0..4 {
            let file = &file;
            scope.spawn(move || {
                for round in 0..200u64 {
                    write(file, worker * 200 + round, b"x").unwrap();
                    file.close();
                    assert!(file.length().unwrap().is_some());
                }
            });
        }
        for _ in 0..200 {
            file.take_own_name().unwrap();
            file.take_part_name(|_| at("x.part")).unwrap();
        }
    });
    assert_eq!(read(&file, 0, 800).unwrap(), [b'x'; 800]);
}

#[test]
fn a_name_is_taken_only_if_nothing_has_it_whatever_the_file_system_knows() {
    let (_temp, folder, pool) = room();
    let file = pool.file(&folder, at("x"));
    file.find_name(&mut folder.walk(), |_| at("x.part"), NewName::Part).unwrap();
    write(&file, 0, b"mine").unwrap();
    fs::write(folder.path().join("x"), b"yours").unwrap();
    assert_eq!(fault(file.take_own_name()), DiskFault::NameTaken);
    let dir = system::Dir::open_root(folder.path()).unwrap();
    assert_eq!(dir.rename_in_steps("x.part", "x").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"yours");
    write(&file, 4, b"!").unwrap();
    // The second name is there: an answer was lost on its way, or we were.
    fs::hard_link(folder.path().join("x.part"), folder.path().join("half")).unwrap();
    dir.rename_in_steps("x.part", "half").unwrap();
    dir.rename_in_steps("half", "x.part").unwrap();
    dir.rename_in_steps("x.part", "free").unwrap();
    assert_eq!(fs::read(folder.path().join("free")).unwrap(), b"mine!");
    let portable = portable::Dir::open_root(folder.path()).unwrap();
    assert_eq!(portable.rename_to_new("free", "x").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    portable.rename_to_new("free", "there").unwrap();
    assert_eq!(fs::read(folder.path().join("there")).unwrap(), b"mine!");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn what_is_reserved_is_taken_from_the_disk_and_is_no_content() {
    let (_temp, folder, pool) = room();
    let file = pool.file(&folder, at("x"));
    match file.reserve(10 << 20).unwrap() {
        Reserved::Unsupported => return,
        Reserved::Yes => {}
    }
    let found = file.find().unwrap().unwrap();
    assert!(found.length() == 0 && found.allocated >= 10 << 20, "{found:?}");
    write(&file, 5 << 20, b"x").unwrap();
    file.sync().unwrap();
    let data = file.next_data(0).unwrap().unwrap();
    assert!(data.start > 4 << 20, "{data:?}");
    assert!(portable::reserve(&fs::File::open(file.path()).unwrap(), 1).is_err());
}

#[test]
fn a_whole_file_is_replaced_or_left_alone() {
    let (_temp, folder, _pool) = room();
    let name = at("state/x.resume");
    assert_eq!(folder.read_whole(&name, 10).unwrap(), None);
    folder.replace_whole(&name, b"old and longer").unwrap();
    folder.replace_whole(&name, b"new").unwrap();
    folder.sync_parent(&name).unwrap();
    assert_eq!(folder.read_whole(&name, 3).unwrap().unwrap(), b"new");
    assert_eq!(fault(folder.read_whole(&name, 2)), DiskFault::TooLarge);
    assert_eq!(fs::read_dir(folder.path().join("state")).unwrap().count(), 1);
}

#[test]
fn faults_are_named_from_the_systems_codes() {
    use rustix::io::Errno;
    let named = |code: Errno| DiskFault::from(io::Error::from(code));
    assert_eq!(named(Errno::NOSPC), DiskFault::Full);
    assert_eq!(named(Errno::DQUOT), DiskFault::Full);
    assert_eq!(named(Errno::ROFS), DiskFault::ReadOnly);
    assert_eq!(named(Errno::ACCESS), DiskFault::Denied);
    assert_eq!(named(Errno::PERM), DiskFault::Denied);
    assert_eq!(named(Errno::MFILE), DiskFault::TooManyOpenFiles);
    assert_eq!(named(Errno::FBIG), DiskFault::TooLarge);
    assert!(matches!(named(Errno::IO), DiskFault::Io { .. }));
    let error = DiskError::new("write", std::path::Path::new("/d/x.iso"), DiskFault::Full);
    assert_eq!(error.to_string(), "cannot write /d/x.iso: no space left; free some space or choose another folder");
    assert!(error.is_refusal());
}

#[test]
fn the_portable_folder_refuses_the_same_and_reads_the_same() {
    let (temp, folder, _pool) = room();
    symlink(temp.path(), folder.path().join("link")).unwrap();
    symlink(temp.path().join("x"), folder.path().join("file")).unwrap();
    let dir = portable::Dir::open_root(folder.path()).unwrap();
    assert!(dir.open_sub("link").is_err());
    assert!(dir.open_file("file", Access::Create).is_err());
    assert!(dir.open_file("none", Access::Write).is_err());
    dir.make_sub("sub").unwrap();
    dir.make_sub("sub").unwrap();
    let sub = dir.open_sub("sub").unwrap();
    let file = sub.open_file("f", Access::Create).unwrap();
    assert_eq!(portable::write_vectored_at(&file, &[IoSlice::new(b""), IoSlice::new(b"abc")], 2).unwrap(), 3);
    let mut back = [0; 4];
    assert_eq!(portable::read_vectored_at(&file, &mut [IoSliceMut::new(&mut back)], 1).unwrap(), 4);
    assert_eq!(&back, b"\0abc");
    assert_eq!(portable::facts(&file).unwrap().look.length, 5);
    assert_eq!(portable::next_data(&file, 4).unwrap(), Some(4..5));
    assert_eq!(portable::next_data(&file, 5).unwrap(), None);
    assert!(sub.check_writable("f").is_ok() && sub.check_writable(".").is_ok() && sub.check_writable("none").is_err());
    sub.rename("f", "g").unwrap();
    sub.sync().unwrap();
    assert!(matches!(sub.kind("g").unwrap(), Kind::File { look, .. } if look.length == 5));
    assert!(sub.is_same(&dir.open_sub("sub").unwrap()) && !sub.is_same(&dir) && sub.free_bytes().is_ok());
    assert!(sub.file_system().unwrap() == dir.file_system().unwrap() && sub.usable_bytes().is_ok());
    sub.remove("g").unwrap();
    fs::remove_dir(folder.path().join("sub")).unwrap();
    assert!(sub.is_deleted().unwrap() && !dir.is_deleted().unwrap());
    assert!(temp.path().join("x").symlink_metadata().is_err());
}

#[test]
fn the_limit_on_open_files_is_not_lowered_by_raising_it() {
    let first = raise_open_file_limit();
    assert!(first >= 64 && raise_open_file_limit() == first);
}
