import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';

export interface OpenPage {
  readonly page: Page;
  /** Errors of scripts, refusals of the content security policy, and everything else on the console. */
  readonly complaints: readonly string[];
  /** Everything that was asked of a network or a disk. */
  readonly requests: readonly string[];
}

/** Opens a file as a person would, in the system's Chromium without a window. */
export class TestBrowser {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async start(executablePath: string): Promise<TestBrowser> {
    return new TestBrowser(await chromium.launch({ executablePath, args: ['--no-sandbox'] }));
  }

  async open(file: string, colorScheme: 'light' | 'dark' = 'light'): Promise<OpenPage> {
    const page = await this.#browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme });
    const complaints: string[] = [];
    const requests: string[] = [];
    page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(pathToFileURL(file).href);
    await page.waitForSelector('html[data-ready]');
    await page.waitForSelector('#timeline svg .item');
    return { page, complaints, requests };
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }
}
