# systemd as process 1 of namespaces of its own, so that the services run as they would on a machine, and nothing of this
# one is touched. `boot.sh outside ROOT PROGRAM`: ROOT holds /etc, the folder `units`, and whatever else is to be seen.
set -e
stage=$1 root=$2 program=$3

if [ "$stage" = outside ]; then
    # A control group of its own, by a mount that only this namespace sees.
    mount -t cgroup2 none "$root/mnt"
    above=$root/mnt$(sed -n 's/^0:://p' /proc/self/cgroup)
    group=$above/oyez-test-$$
    mkdir "$group"
    echo $$ >"$group/cgroup.procs"
    unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child sh "$0" inside "$root" "$program" || :
    echo $$ >"$above/cgroup.procs"
    find "$group" -depth -type d -exec rmdir {} +
    exit
fi

# Still the outer /proc: this is the number that process 1 has out there.
sed -n 's/^PPid:[[:space:]]*//p' /proc/self/status >"$root/pid"

mount --bind "$root" "$root"
cd "$root"
mount --rbind /usr usr
mount -o remount,bind,ro usr
for folder in bin sbin lib lib64; do
    if [ -L "/$folder" ]; then cp -P "/$folder" .; fi
done
# Of the machine's own units none: some would set the kernel's variables, which are everybody's.
mount --bind units usr/lib/systemd/system
mount -t tmpfs none usr/local
mkdir usr/local/bin
: >usr/local/bin/oyez
mount --bind "$program" usr/local/bin/oyez
mount -t proc none proc
mount -t sysfs none sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs -o mode=755 none run
mount -t tmpfs -o mode=755 none dev
for device in null zero full random urandom tty; do
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mkdir dev/shm dev/pts dev/mqueue dev/hugepages
mount -t devpts -o newinstance,ptmxmode=666 none dev/pts
pivot_root . mnt
umount -l mnt
exec env -i container=test PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /usr/lib/systemd/systemd --system --unit=basic.target --log-target=null --show-status=no
