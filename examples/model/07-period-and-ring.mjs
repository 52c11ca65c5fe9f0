// Period and ring buffer: every third write makes a sample, one page holds 127 of them, and what finds no room is counted.
import { ModelHost, ModelSurface } from 'trapline/model';
import {
  encodePerfEventAttr,
  PERF_EVENT_IOC_PERIOD,
  PERF_SAMPLE_IP,
  PERF_SAMPLE_TID,
  PERF_SAMPLE_TIME,
} from 'trapline/uapi';

const host = new ModelHost();
const surface = new ModelSurface(host);
const task = host.machine.spawn({ name: 'A' });
const { calls } = host;
const attr = encodePerfEventAttr({
  type: 5,
  bpType: 2,
  bpAddr: 0x1000n,
  bpLen: 8n,
  samplePeriod: 3n,
  sampleType: PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
  readFormat: 0x10, // PERF_FORMAT_LOST
});
const fd = calls.perfEventOpen({ attr, pid: task.tid, cpu: -1, groupFd: -1, flags: 0 });
const ring = new DataView(calls.mmap(fd, { dataPages: 1, readOnly: false, private: false }).memory);
const store = (times) => {
  for (let i = 0; i < times; i++)
    host.machine.perform(task, { type: 'store', at: 0x1000n, lenBytes: 8, ip: 0x400100n });
};
const told = (what) => {
  const counts = new BigUint64Array(calls.read(fd, 16).slice().buffer);
  console.log(`${what}: ${counts[0]} hits, head ${ring.getBigUint64(1024, true)}, ${counts[1]} lost`);
};

store(9);
told('9 writes');
console.log(
  `first sample: ip 0x${ring.getBigUint64(4096 + 8, true).toString(16)}, time ${ring.getBigUint64(4096 + 24, true)} ns`,
);
store(390);
told('399 writes');
ring.setBigUint64(1032, ring.getBigUint64(1024, true), true); // data_tail: all of it was read
calls.ioctl(fd, PERF_EVENT_IOC_PERIOD, new Uint8Array(new BigUint64Array([1n]).buffer));
store(2);
told('2 more, of period 1, after the reader caught up');
console.log(`poll: 0x${calls.poll(fd).toString(16)}, then 0x${calls.poll(fd).toString(16)}`);
surface.close();
