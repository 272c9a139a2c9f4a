#!/bin/busybox sh
# What runs first in the emulated machine: it takes the files of the machine around it, keeps to itself
# what is changed there, does the order, and switches itself off.
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t devtmpfs dev /dev
while read -r module; do
    $bb insmod "/modules/$module"
done </modules/order
$bb mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro files /around
$bb mount -t tmpfs -o size=75% changes /changes
$bb mkdir /changes/upper /changes/work
$bb mount -t overlay -o lowerdir=/around,upperdir=/changes/upper,workdir=/changes/work root /root
for folder in dev proc sys; do
    $bb mount --move "/$folder" "/root/$folder"
done
$bb mkdir -p /root/dev/shm /root/order
$bb mount -t tmpfs shm /root/dev/shm
$bb mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none order /root/order
$bb ip link set lo up
$bb chroot /root /bin/sh /order/order.sh >/root/dev/ttyS1 2>&1
$bb sync
$bb poweroff -f
