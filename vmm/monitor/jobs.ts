import { MonitorError } from './error.ts';

export type JobStatus = 'created' | 'running' | 'pending' | 'waiting' | 'aborting' | 'concluded' | 'null';

/** What a job goes through when its work is over, as QEMU's do. */
const WELL = ['waiting', 'pending', 'concluded'] as const;
const FAILED = ['aborting', 'concluded'] as const;

export interface Job {
  readonly id: string;
  readonly type: string;
  status: JobStatus;
  /** Why it failed, once it has. */
  error?: string;
  /** Nobody will dismiss it: it goes when it is over. */
  unwatched?: true;
}

/** Long-running commands of QMP: they are started, go through their states, and stay to be asked about. */
export class Jobs {
  readonly #jobs = new Map<string, Job>();
  readonly #changed: (job: Job) => void;

  constructor(changed: (job: Job) => void) {
    this.#changed = changed;
  }

  get all(): readonly Job[] {
    return [...this.#jobs.values()];
  }

  /** Runs `work` as a job; what it throws is the job's error, not the command's. @throws MonitorError */
  run(id: string, type: string, work: () => void): void {
    const job = this.begin(id, type);
    try {
      work();
      this.end(job);
    } catch (error) {
      this.end(job, error instanceof Error ? error.message : String(error));
    }
  }

  /** A job that goes on after its command. @throws MonitorError */
  begin(id: string, type: string): Job {
    if (id === '') throw new MonitorError("Invalid job ID ''");
    if (this.#jobs.has(id)) throw new MonitorError(`Job ID '${id}' already in use`);
    const job: Job = { id, type, status: 'created' };
    this.#jobs.set(id, job);
    this.#changed(job);
    this.#to(job, 'running');
    return job;
  }

  end(job: Job, error?: string): void {
    if (error !== undefined) job.error = error;
    for (const status of error === undefined ? WELL : FAILED) this.#to(job, status);
    if (job.unwatched === true) this.dismiss(job.id);
  }

  /** Forgets a job that is over. @throws MonitorError */
  dismiss(id: string): void {
    const job = this.#jobs.get(id);
    if (job === undefined) throw new MonitorError(`Job not found`);
    if (job.status !== 'concluded')
      throw new MonitorError(`Job '${id}' in state '${job.status}' cannot accept command verb 'dismiss'`);
    this.#to(job, 'null');
    this.#jobs.delete(id);
  }

  #to(job: Job, status: JobStatus): void {
    job.status = status;
    this.#changed(job);
  }
}
