import { MonitorError } from './error.ts';

export type JobStatus = 'created' | 'running' | 'pending' | 'waiting' | 'concluded' | 'null';

export interface Job {
  readonly id: string;
  readonly type: string;
  status: JobStatus;
  /** Why it failed, once it has. */
  error?: string;
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
    if (id === '') throw new MonitorError("Invalid job ID ''");
    if (this.#jobs.has(id)) throw new MonitorError(`Job ID '${id}' already in use`);
    const job: Job = { id, type, status: 'created' };
    this.#jobs.set(id, job);
    this.#changed(job);
    this.#to(job, 'running');
    try {
      work();
    } catch (error) {
      job.error = error instanceof Error ? error.message : String(error);
    }
    for (const status of ['waiting', 'pending', 'concluded'] as const) this.#to(job, status);
  }

  /** Forgets a job that is over. @throws MonitorError */
  dismiss(id: string): void {
    const job = this.#jobs.get(id);
    if (job === undefined) throw new MonitorError(`Job not found`);
    this.#to(job, 'null');
    this.#jobs.delete(id);
  }

  #to(job: Job, status: JobStatus): void {
    job.status = status;
    this.#changed(job);
  }
}
