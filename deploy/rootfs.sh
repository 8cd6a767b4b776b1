#!/usr/bin/env bash
# The root file system of the run image: the program, the shared libraries and the CA certificates of Debian's packages, and nothing that
# could start anything else. deploy/Dockerfile runs this script and copies the result into an empty image; without a container engine it
# makes the same folder, to be looked into, packed, or started in a namespace.
#
#   deploy/rootfs.sh OUT_DIR [BINARY]
#
# OUT_DIR must be empty or absent. BINARY is a headwater for amd64 or arm64; by default one is built. The packages are those of BINARY's
# architecture, in the release that this machine's apt sources name (or those of the file in APT_CONFIG), checked by their signatures.
#
# Needs bash, apt-get, dpkg-deb, tar and access to a Debian mirror. Root is not needed; the files belong to whoever runs it.
set -euo pipefail
umask 022
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
    printf 'rootfs.sh: %s\n' "$*" >&2
    exit 1
}

case $# in
1 | 2) ;;
*)
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
mkdir -p "$1"
root=$(cd "$1" && pwd)
if [[ -n $(ls -A "$root") ]]; then fail "$root is not empty: name a folder that does not exist yet"; fi
if [[ -n ${2:-} ]]; then
    binary=$2
else
    (cd "$repository" && cargo build --release --locked --no-default-features --bin headwater >&2)
    binary=${CARGO_TARGET_DIR:-$repository/target}/release/headwater
fi
[[ -f $binary ]] || fail "there is no program at $binary"

# The machine that an ELF file is for, its bytes 18 and 19.
case $(od -An -t x1 -j 18 -N 2 "$binary") in
" 3e 00") architecture=amd64 ;;
" b7 00") architecture=arm64 ;;
*) fail "$binary is no program for amd64 or arm64" ;;
esac

work=$(mktemp -d "${TMPDIR:-/tmp}/headwater-rootfs-XXXXXX")
trap 'rm -rf "$work"' EXIT

# --- The packages ----------------------------------------------------------------------------------------------------------------

# apt with package lists of its own: fresh, of the program's architecture, and without a trace on this machine. It has no sandbox user,
# who could not write into the work folder.
apt() {
    apt-get --quiet=2 \
        -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" -o APT::Sandbox::User=root \
        -o "Dir::State=$work/state" -o "Dir::State::status=$work/state/status" -o "Dir::Cache=$work/cache" "$@" >&2
}

# Downloads packages and unpacks each into $work/<name>.
fetch() {
    local name
    mkdir -p "$work/packages"
    (cd "$work/packages" && apt download "$@") || fail "cannot download $*: the reason stands above"
    for name in "$@"; do
        dpkg-deb --extract "$work/packages/$name"_*.deb "$work/$name"
    done
}

field() { dpkg-deb --field "$work/packages/$1"_*.deb "$2"; }

mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
touch "$work/state/status"
apt update || fail "cannot read the lists of packages: the reason stands above"
fetch base-files ca-certificates libc6 libgcc-s1
# Where the licence of libgcc is; its name holds the version of GCC.
licence=$(field libgcc-s1 Depends | grep -o 'gcc-[0-9.]*-base')
fetch "$licence"

# --- The root --------------------------------------------------------------------------------------------------------------------

mkdir -p "$root"/{dev,proc,sys} "$root"/etc/{headwater,ssl/certs} "$root"/usr/{lib,local/bin,share/doc} "$root"/var/lib/dpkg/status.d
ln -s usr/lib "$root/lib"

# The libraries, all below /usr as Debian 13 has them; earlier packages have some in /lib. Not the modules that convert character sets:
# nothing asks for a conversion.
for name in libc6 libgcc-s1; do
    while IFS= read -r path; do
        to=$root/usr/${path#usr/}
        mkdir -p "$(dirname "$to")"
        cp --no-dereference "$work/$name/$path" "$to"
    done < <(cd "$work/$name" && find . -path './*lib*/*.so*' ! -path '*/gconv/*' ! -path '*/audit/*' ! -type d -printf '%P\n')
done
# Where a program for amd64 looks for the loader.
if [[ -d $root/usr/lib64 ]]; then ln -s usr/lib64 "$root/lib64"; fi

# All authorities in one file, as update-ca-certificates writes it; awk ends a last line that is open.
find "$work/ca-certificates/usr/share/ca-certificates" -name '*.crt' -print0 | sort -z | xargs -0 awk 1 \
    >"$root/etc/ssl/certs/ca-certificates.crt"

# Which release and which packages these are, for whoever looks for known vulnerabilities, and the licences.
for path in etc/debian_version etc/os-release usr/lib/os-release usr/share/common-licenses; do
    cp --recursive --no-dereference "$work/base-files/$path" "$root/$path"
done
for name in base-files ca-certificates libc6 libgcc-s1 "$licence"; do
    dpkg-deb --field "$work/packages/$name"_*.deb | sed '1a Status: install ok installed' >"$root/var/lib/dpkg/status.d/$name"
    documents=usr/share/doc/$name
    # That of libgcc is a link to the other package's folder.
    if [[ -L $work/$name/$documents ]]; then
        cp --no-dereference "$work/$name/$documents" "$root/$documents"
    else
        install -D --mode 644 "$work/$name/$documents/copyright" "$root/$documents/copyright"
    fi
done

# The one user, of a number that other minimal images use too. Without a home there is nowhere to look for credentials in files.
printf '%s\n' 'root:x:0:0:root:/:/sbin/nologin' 'nonroot:x:65532:65532:headwater:/nonexistent:/sbin/nologin' >"$root/etc/passwd"
printf '%s\n' 'root:x:0:' 'nonroot:x:65532:' >"$root/etc/group"
# The container's own /etc/hosts goes before DNS.
printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' >"$root/etc/nsswitch.conf"

install --mode 755 "$binary" "$root/usr/local/bin/headwater"
cp --recursive "$repository/schemas" "$root/etc/headwater/schemas"
chmod --recursive u=rwX,go=rX "$root"

# --- What would only show when the container starts ------------------------------------------------------------------------------

# A glibc runs what was linked against the same or an earlier one.
wanted=$(grep --text --only-matching 'GLIBC_2\.[0-9.]*[0-9]' "$binary" | sed 's/GLIBC_//' | sort --unique --version-sort | tail -n 1)
libc=$(field libc6 Version)
if [[ $(printf '%s\n' "$wanted" "${libc%%-*}" | sort --version-sort | tail -n 1) != "${libc%%-*}" ]]; then
    fail "$binary needs glibc $wanted and the packages have ${libc%%-*}: build it on the same release of Debian"
fi
printf '%s: %s, glibc %s, %s\n' "$root" "$architecture" "${libc%%-*}" "$(du --apparent-size -sh "$root" | cut -f 1)" >&2
