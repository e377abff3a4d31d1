// The interface, by what the server says of it: found, opened, and a line to try it.
import { looked, report } from './people.mjs';

export async function api(boss, ben) {
  await boss.go('/api');
  await boss.text('count', 'routes');
  report.routes = await boss.page.getByTestId('count').innerText();
  await boss.page.getByTestId('find').fill('put like');
  const like = boss.page.locator('[data-testid="route"]:visible');
  report.found_routes = await like.count();
  await like.locator('summary').click();
  report.line = await like.getByTestId('curl').innerText();
  await looked(boss, 'api');
  await ben.go('/api');
  await ben.text('count', 'routes');
  await looked(ben, 'api-narrow');
}
