#!/bin/bash
# Usage: obs-system.sh DIR
#
# Makes DIR/system-1-1.noarch.rpm: an RPM distribution in one package, for a build service to set up its build roots with.
# Its files are those that the Debian packages of this machine have installed, so that what is compiled in such a root is
# what this machine compiles.
set -euo pipefail
umask 022
tree=$1/tree
seeds='bash binutils bzip2 coreutils cpio dash diffutils file findutils gawk gcc grep gzip hostname libc6-dev libpam-modules
login make mount passwd patch perl-base procps rpm rpm2cpio sed tar util-linux xz-utils'

mkdir -p "$tree"/usr/{bin,sbin,lib,lib64} "$tree"/{dev,proc,sys,tmp,root} "$tree"/etc/{pam.d,rpm} "$tree"/var/lib/rpm
for dir in bin sbin lib lib64; do ln -s usr/$dir "$tree/$dir"; done
apt-cache depends --recurse --installed --no-{recommends,suggests,conflicts,breaks,replaces,enhances} $seeds |
	grep '^[a-z0-9]' | sort -u |
	{ xargs dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' 2>/dev/null || true; } | # not of virtual packages
	sed -n 's/^installed //p' | xargs dpkg -L |
	grep -vE '^/(\.|bin|sbin|lib|lib64|etc/pam\.d/.*|usr/share/(doc|man|locale|info|lintian)/.*)$' | sort -u |
	while read -r name; do if [ -e "$name" ] || [ -L "$name" ]; then echo "${name#/}"; fi; done >"$1/files"
tar -C / -cf - --no-recursion -T "$1/files" | tar -C "$tree" -xf - --keep-directory-symlink
cp -a /etc/alternatives /etc/group /etc/ld.so.conf /etc/ld.so.conf.d /etc/login.defs /etc/passwd /etc/shadow "$tree/etc/"
cp -a /usr/bin/{awk,cc} "$tree/usr/bin/"
# Everybody may become everybody: a build root has a root and a builder.
for name in su su-l other; do
	printf '%s sufficient pam_permit.so\n' auth account session password >"$tree/etc/pam.d/$name"
done
# Debian's rpm keeps its database in the user's home.
echo '%_dbpath /var/lib/rpm' >"$tree/etc/rpm/macros"

cat >"$1/system.spec" <<'S'
Name:      system
Version:   1
Release:   1
Summary:   A distribution in one package
License:   none
BuildArch: noarch
Provides:  binutils gcc rpm-build
AutoReqProv: no
%global _binaries_in_noarch_packages_terminate_build 0
%global __os_install_post %{nil}
%global debug_package %{nil}
%description
A distribution.
%install
cp -a %{tree}/. %{buildroot}/
%files
/*
S
rpmbuild --quiet -bb --define "_topdir $1/rpmbuild" --define "tree $tree" --define '_binary_payload w0.gzdio' \
	--define '_build_id_links none' "$1/system.spec" 2>"$1/log" || { cat "$1/log" >&2; exit 1; }
mv "$1"/rpmbuild/RPMS/noarch/system-1-1.noarch.rpm "$1/"
rm -rf "$tree" "$1"/rpmbuild "$1"/files "$1"/log "$1"/system.spec
